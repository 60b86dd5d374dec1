package orderflow.mongo;

import java.util.List;

import org.h2.mvstore.MVStore;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;

/**
 * A server that speaks MongoDB's wire protocol and keeps its data in one file.
 *
 * <p>Arguments: host, port, file, and the milliseconds from an acknowledged write until it is in the file.
 * SIGTERM loses nothing; SIGKILL loses the writes of that time. With 0, a write is in the file before it is
 * acknowledged, at about two thirds of the speed.
 */
public final class MongoWire {

    private static final Logger log = LoggerFactory.getLogger(MongoWire.class);

    /** Pages that stay decoded in memory; the rest is read again from the file. */
    private static final int CACHE_MEGABYTES = 128;

    /** Unsaved changes above this are written by the writing thread itself; below it, in the background. */
    private static final int UNSAVED_KILOBYTES = 16 * 1024;

    /** Background commits where each write commits itself: they only tidy the file up. */
    private static final int IDLE_MILLISECONDS = 1000;

    /** What today's drivers accept: upstream announces wire version 7, which they refuse. */
    private static final MongoVersion VERSION = new MongoVersion() {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(4, 4, 0);
        }

        @Override
        public int getWireVersion() {
            return 9;
        }
    };

    private MongoWire() {
    }

    public static void main(String[] arguments) {
        if (arguments.length != 4) {
            System.err.println("usage: MongoWire HOST PORT FILE COMMIT_DELAY_MILLISECONDS");
            System.exit(2);
        }
        String host = arguments[0];
        int port = Integer.parseInt(arguments[1]);
        MVStore store = new MVStore.Builder()
            .fileName(arguments[2])
            .cacheSize(CACHE_MEGABYTES)
            .autoCommitBufferSize(UNSAVED_KILOBYTES)
            .open();
        int delay = Integer.parseInt(arguments[3]);
        store.setAutoCommitDelay(delay > 0 ? delay : IDLE_MILLISECONDS);

        PlanningBackend backend = new PlanningBackend(store, delay == 0);
        backend.version(VERSION);
        MongoServer server = new MongoServer(backend);
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow, "shutdown"));
        try {
            server.bind(host, port);
        } catch (RuntimeException e) {
            log.error("cannot listen at {}:{}: {}", host, port, e.toString());
            System.exit(1);
        }
        log.info("ready at mongodb://{}:{}, data in {}", host, port, arguments[2]);
    }
}
