package orderflow.mongo;

import java.util.Locale;
import java.util.Set;

import org.h2.mvstore.MVStore;

import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import io.netty.channel.Channel;

/** Upstream's backend on disk, with databases whose queries use indexes as MongoDB's do. */
final class PlanningBackend extends H2Backend {

    private static final Set<String> WRITES = Set.of("insert", "update", "delete", "findandmodify", "create",
        "createindexes", "drop", "dropindexes", "dropdatabase", "renamecollection");

    /** True: a write is in the file, and so survives SIGKILL, before it is acknowledged. */
    private final boolean journaled;

    PlanningBackend(MVStore store, boolean journaled) {
        super(store);
        this.journaled = journaled;
    }

    @Override
    protected MongoDatabase openOrCreateDatabase(String databaseName) {
        return new PlanningDatabase(databaseName, getMvStore(), getCursorRegistry());
    }

    @Override
    public Document handleCommand(Channel channel, String databaseName, String command, Document query) {
        try {
            return super.handleCommand(channel, databaseName, command, query);
        } finally {
            if (journaled && WRITES.contains(command.toLowerCase(Locale.ROOT))) {
                getMvStore().commit();
            }
        }
    }
}
