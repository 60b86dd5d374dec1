package orderflow.mongo;

import java.util.Comparator;
import java.util.NoSuchElementException;
import java.util.UUID;
import java.util.stream.Stream;

import org.h2.mvstore.MVMap;

import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.backend.AbstractSynchronizedMongoCollection;
import de.bwaldvogel.mongo.backend.CollectionOptions;
import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.DocumentWithPosition;
import de.bwaldvogel.mongo.backend.Missing;
import de.bwaldvogel.mongo.backend.QueryResult;
import de.bwaldvogel.mongo.backend.Utils;
import de.bwaldvogel.mongo.backend.ValueComparator;
import de.bwaldvogel.mongo.bson.Document;

/**
 * A collection kept in one stored map, position (the document's _id) to document.
 *
 * <p>Two things differ from upstream. Queries go through the {@link Planner}. And a query answers with copies:
 * upstream changes a stored document in place, while another connection may be sending it and the background
 * writer may be storing it. A document in the map is never changed here, only replaced.
 */
final class PlanningCollection extends AbstractSynchronizedMongoCollection<Object> {

    static final String ID = "_id";

    private final MVMap<Object, Document> documents;

    PlanningCollection(MongoDatabase database, String collectionName, CollectionOptions options,
                       MVMap<Object, Document> documents, CursorRegistry cursorRegistry) {
        super(database, collectionName, options, cursorRegistry);
        this.documents = documents;
    }

    @Override
    protected QueryResult queryDocuments(Document query, Document orderBy, int numberToSkip, int limit, int batchSize,
                                         Document fieldSelector) {
        Planner.Plan plan = Planner.plan(getIndexes(), query, orderBy);
        if (plan == null) {
            return matchDocuments(query, orderBy, numberToSkip, limit, batchSize, fieldSelector);
        }
        Stream<Document> candidates = plan.positions().map(documents::get);
        Comparator<Document> order = plan.sorted() ? null : deriveComparator(orderBy);
        return answer(candidates, query, order, numberToSkip, limit, batchSize, fieldSelector);
    }

    @Override
    protected QueryResult matchDocuments(Document query, Document orderBy, int numberToSkip, int limit, int batchSize,
                                         Document fieldSelector) {
        Stream<Document> all = documents.values().stream();
        if (isNaturalDescending(orderBy)) {
            all = streamAllDocumentsWithPosition()
                .sorted((a, b) -> ValueComparator.desc().compare(a.getPosition(), b.getPosition()))
                .map(DocumentWithPosition::getDocument);
        }
        return answer(all, query, deriveComparator(orderBy), numberToSkip, limit, batchSize, fieldSelector);
    }

    private QueryResult answer(Stream<Document> candidates, Document query, Comparator<Document> order,
                               int numberToSkip, int limit, int batchSize, Document fieldSelector) {
        Stream<Document> matches = candidates.filter(document -> documentMatchesQuery(document, query));
        if (order != null) {
            matches = matches.sorted(order);
        }
        matches = matches.skip(numberToSkip);
        if (limit > 0) {
            matches = matches.limit(limit);
        }
        // The rest, which is the projection and the cursor, is upstream's; the few that match are matched again.
        return matchDocumentsFromStream(query, matches.map(Document::clone), 0, 0, batchSize, null, fieldSelector);
    }

    @Override
    protected Object addDocumentInternal(Document document) {
        Object key = getIdField() == null ? UUID.randomUUID() : Utils.getSubdocumentValue(document, getIdField());
        if (documents.putIfAbsent(Missing.ofNullable(key), document) != null) {
            throw new IllegalStateException("there is a document at " + key + " that no index knows in " + this);
        }
        return key;
    }

    @Override
    protected void handleUpdate(Object position, Document oldDocument, Document newDocument) {
        documents.put(Missing.ofNullable(position), newDocument);
    }

    @Override
    protected void removeDocument(Object position) {
        if (documents.remove(position) == null) {
            throw new NoSuchElementException("no document at " + position + " in " + this);
        }
    }

    @Override
    protected Document getDocument(Object position) {
        return documents.get(position);
    }

    @Override
    protected Stream<DocumentWithPosition<Object>> streamAllDocumentsWithPosition() {
        return documents.entrySet().stream()
            .map(entry -> new DocumentWithPosition<>(entry.getValue(), entry.getKey()));
    }

    @Override
    public int count() {
        return documents.size();
    }

    @Override
    public boolean isEmpty() {
        return documents.isEmpty();
    }

    /** Upstream encodes a document twice at each update to keep a sum that only statistics show. */
    @Override
    protected boolean tracksDataSize() {
        return false;
    }

    @Override
    protected void updateDataSize(int sizeDelta) {
        throw new UnsupportedOperationException("sizes aren't tracked");
    }

    @Override
    protected int getDataSize() {
        return 0;
    }
}
