package orderflow.mongo;

import java.util.ArrayList;
import java.util.List;

import org.h2.mvstore.FileStore;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;

import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.backend.AbstractSynchronizedMongoDatabase;
import de.bwaldvogel.mongo.backend.CollectionOptions;
import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.DatabaseResolver;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.oplog.Oplog;
import io.netty.channel.Channel;

/**
 * One database: a stored map per collection, indexes in memory (filled when a collection is opened).
 *
 * <p>Also sets right what upstream answers differently from MongoDB to bulk writes: an ordered update stops at
 * its first error, and the count of an insert leaves out the documents that were refused.
 */
final class PlanningDatabase extends AbstractSynchronizedMongoDatabase<Object> {

    /** The prefix by which upstream's backend finds the databases in a file it opens. */
    private static final String DATA_PREFIX = "databases.";

    private final MVStore store;

    PlanningDatabase(String databaseName, MVStore store, CursorRegistry cursorRegistry) {
        super(databaseName, cursorRegistry);
        this.store = store;
        initializeNamespacesAndIndexes();
    }

    private MVMap<Object, Document> dataMap(String collectionName) {
        return store.openMap(DATA_PREFIX + getDatabaseName() + "." + collectionName,
            new MVMap.Builder<Object, Document>().valueType(new BsonType()));
    }

    @Override
    protected MongoCollection<Object> openOrCreateCollection(String collectionName, CollectionOptions options) {
        return new PlanningCollection(this, collectionName, options, dataMap(collectionName), cursorRegistry);
    }

    @Override
    protected Index<Object> openOrCreateUniqueIndex(String collectionName, String indexName, List<IndexKey> keys,
                                                    boolean sparse) {
        return new UniqueIndex(indexName, keys, sparse);
    }

    @Override
    protected Index<Object> openOrCreateSecondaryIndex(String collectionName, String indexName, List<IndexKey> keys,
                                                       boolean sparse) {
        return new OrderedIndex(indexName, keys);
    }

    @Override
    public Document handleCommand(Channel channel, String command, Document query, DatabaseResolver databaseResolver,
                                  Oplog oplog) {
        boolean ordered = !Boolean.FALSE.equals(query.get("ordered"));
        if (command.equals("update") && ordered && items(query, "updates").size() > 1) {
            return orderedUpdate(channel, query, databaseResolver, oplog);
        }
        Document answer = super.handleCommand(channel, command, query, databaseResolver, oplog);
        if (command.equals("insert") && answer.get("writeErrors") instanceof List<?> errors && !errors.isEmpty()) {
            int accepted = items(query, "documents").size() - errors.size();
            answer.put("n", ordered ? (Integer) ((Document) errors.get(0)).get("index") : Integer.valueOf(accepted));
        }
        return answer;
    }

    private Document orderedUpdate(Channel channel, Document query, DatabaseResolver databaseResolver, Oplog oplog) {
        int matched = 0;
        int modified = 0;
        List<Document> upserted = new ArrayList<>();
        Document answer = new Document();
        List<Document> updates = items(query, "updates");
        for (int i = 0; i < updates.size() && !answer.containsKey("writeErrors"); i++) {
            Document one = query.clone();
            one.put("updates", List.of(updates.get(i)));
            Document part = super.handleCommand(channel, "update", one, databaseResolver, oplog);
            matched += ((Number) part.get("n")).intValue();
            modified += ((Number) part.get("nModified")).intValue();
            upserted.addAll(numbered(part, "upserted", i));
            if (part.containsKey("writeErrors")) {
                answer.put("writeErrors", numbered(part, "writeErrors", i));
            }
        }
        answer.put("n", matched);
        answer.put("nModified", modified);
        if (!upserted.isEmpty()) {
            answer.put("upserted", upserted);
        }
        answer.put("ok", 1.0);
        return answer;
    }

    private static List<Document> numbered(Document answer, String field, int index) {
        List<Document> numbered = new ArrayList<>();
        if (answer.get(field) instanceof Iterable<?> entries) {
            for (Object entry : entries) {
                Document copy = ((Document) entry).clone();
                copy.put("index", index);
                numbered.add(copy);
            }
        }
        return numbered;
    }

    @SuppressWarnings("unchecked")
    private static List<Document> items(Document query, String field) {
        return (List<Document>) query.getOrDefault(field, List.of());
    }

    @Override
    public void drop(Oplog oplog) {
        super.drop(oplog);
        String prefix = DATA_PREFIX + getDatabaseName() + ".";
        for (String name : List.copyOf(store.getMapNames())) {
            if (name.startsWith(prefix)) {
                store.removeMap(name);
            }
        }
    }

    @Override
    public void dropCollection(String collectionName, Oplog oplog) {
        super.dropCollection(collectionName, oplog);
        store.removeMap(dataMap(collectionName));
    }

    @Override
    public void moveCollection(MongoDatabase oldDatabase, MongoCollection<?> collection, String newCollectionName) {
        String oldName = DATA_PREFIX + collection.getFullName();
        super.moveCollection(oldDatabase, collection, newCollectionName);
        store.renameMap(store.openMap(oldName, new MVMap.Builder<Object, Document>().valueType(new BsonType())),
            DATA_PREFIX + getDatabaseName() + "." + newCollectionName);
    }

    @Override
    protected long getStorageSize() {
        FileStore<?> file = store.getFileStore();
        return file == null ? 0 : file.size();
    }

    @Override
    protected long getFileSize() {
        return getStorageSize();
    }
}
