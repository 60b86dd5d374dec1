package orderflow.mongo;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;

import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.KeyValue;
import de.bwaldvogel.mongo.backend.ValueComparator;
import de.bwaldvogel.mongo.bson.Document;

/** A non-unique index in memory, in the order of its fields; upstream accepts such an index and ignores it. */
final class OrderedIndex extends Index<Object> {

    /** Stands behind every value of a field, so that (a, LAST) is the end of all keys that start with a. */
    static final Object LAST = new Object();

    private static final Comparator<List<Object>> ORDER = (left, right) -> {
        for (int i = 0; i < Math.min(left.size(), right.size()); i++) {
            Object a = left.get(i);
            Object b = right.get(i);
            int order = a == LAST || b == LAST
                ? Boolean.compare(a == LAST, b == LAST) : ValueComparator.asc().compare(a, b);
            if (order != 0) {
                return order;
            }
        }
        return Integer.compare(left.size(), right.size());
    };

    private final NavigableMap<List<Object>, Set<Object>> positions = new TreeMap<>(ORDER);

    /** Documents that stand under more or fewer than one key, because a field holds an array. */
    private long manyKeyed;

    OrderedIndex(String name, List<IndexKey> keys) {
        // "Sparse" tells upstream that remove() may know of no position. All documents are in this index.
        super(name, keys, true);
    }

    List<String> fields() {
        return keys();
    }

    /** True if walking the index meets each document exactly once. */
    boolean meetsEachOnce() {
        return manyKeyed == 0;
    }

    /** The positions between two keys, both included; a key may be shorter than the index has fields. */
    Stream<Object> between(List<Object> from, List<Object> to, boolean descending) {
        NavigableMap<List<Object>, Set<Object>> part = positions.subMap(from, true, to, true);
        return (descending ? part.descendingMap() : part).values().stream().flatMap(Set::stream);
    }

    @Override
    public void add(Document document, Object position, MongoCollection<Object> collection) {
        Set<KeyValue> keys = keysOf(document);
        if (keys.size() != 1) {
            manyKeyed++;
        }
        for (KeyValue key : keys) {
            positions.computeIfAbsent(key.stream().toList(), any -> new LinkedHashSet<>(1)).add(position);
        }
    }

    /** A document's position is its _id: see {@link PlanningCollection}. */
    @Override
    public Object remove(Document document) {
        remove(document, document.get(PlanningCollection.ID));
        return null;
    }

    private void remove(Document document, Object position) {
        Set<KeyValue> keys = keysOf(document);
        if (keys.size() != 1) {
            manyKeyed--;
        }
        for (KeyValue key : keys) {
            positions.computeIfPresent(key.stream().toList(), (any, there) -> {
                there.remove(position);
                return there.isEmpty() ? null : there;
            });
        }
    }

    @Override
    public void updateInPlace(Document oldDocument, Document newDocument, Object position,
                              MongoCollection<Object> collection) {
        if (!nullAwareEqualsKeys(oldDocument, newDocument)) {
            remove(oldDocument, position);
            add(newDocument, position, collection);
        }
    }

    private Set<KeyValue> keysOf(Document document) {
        return getKeyValues(document);
    }

    static List<Object> append(List<Object> key, Object value) {
        List<Object> longer = new ArrayList<>(key);
        longer.add(value);
        return longer;
    }

    @Override
    public Object getPosition(Document document) {
        return null;
    }

    @Override
    public void checkAdd(Document document, MongoCollection<Object> collection) {
        // Nothing is refused: the index isn't unique.
    }

    @Override
    public void checkUpdate(Document oldDocument, Document newDocument, MongoCollection<Object> collection) {
        // Nothing is refused: the index isn't unique.
    }

    @Override
    public boolean canHandle(Document query) {
        return false;
    }

    @Override
    public Iterable<Object> getPositions(Document query) {
        throw new UnsupportedOperationException("the planner asks an ordered index itself: " + this);
    }

    @Override
    public long getCount() {
        return positions.size();
    }

    @Override
    public long getDataSize() {
        return getCount();
    }

    @Override
    public void drop() {
        positions.clear();
    }
}
