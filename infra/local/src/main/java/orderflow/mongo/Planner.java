package orderflow.mongo;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;

import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.KeyValue;
import de.bwaldvogel.mongo.bson.BsonRegularExpression;
import de.bwaldvogel.mongo.bson.Document;

/**
 * Picks the index that serves a query.
 *
 * <p>A plan names candidates: every document that matches is among them, and the caller still holds each one
 * against the whole filter. Upstream uses an index only where the filter has exactly its fields, so
 * {@code {_id: x, fence: 5}} reads the whole collection; MongoDB looks the {@code _id} up, and so do we.
 */
final class Planner {

    /** Combinations of {@code $in} values looked up one by one; above it, a wider part of the index is read. */
    private static final int MOST_KEYS = 100_000;

    private static final List<Object> FIRST = List.of();

    private Planner() {
    }

    /** Positions of the candidates; sorted, if they already come in the order that was asked for. */
    record Plan(Stream<Object> positions, boolean sorted) {
    }

    private record Choice(int score, Plan plan) {
    }

    /** The best plan, or null where every document has to be looked at. */
    static Plan plan(List<Index<Object>> indexes, Document query, Document orderBy) {
        Map<String, Object> conditions = new LinkedHashMap<>();
        collect(query, conditions);
        Choice best = null;
        for (Index<Object> index : indexes) {
            Choice choice = null;
            if (index instanceof UniqueIndex unique) {
                choice = lookUp(unique, conditions);
            } else if (index instanceof OrderedIndex ordered) {
                choice = walk(ordered, conditions, orderBy);
            }
            if (choice != null && (best == null || choice.score > best.score)) {
                best = choice;
            }
        }
        return best == null ? null : best.plan;
    }

    /** All conditions that must hold together. The first for a field wins: it alone already narrows enough. */
    private static void collect(Document query, Map<String, Object> conditions) {
        for (Map.Entry<String, Object> entry : query.entrySet()) {
            if (entry.getKey().equals("$and") && entry.getValue() instanceof Collection<?> parts) {
                parts.forEach(part -> collect((Document) part, conditions));
            } else if (!entry.getKey().startsWith("$")) {
                conditions.putIfAbsent(entry.getKey(), entry.getValue());
            }
        }
    }

    private static Choice lookUp(UniqueIndex index, Map<String, Object> conditions) {
        List<List<Object>> keys = List.of(FIRST);
        for (String field : index.fields()) {
            keys = combine(keys, equals(conditions, field));
            if (keys == null) {
                return null;
            }
        }
        // Before every walk: it meets at most one document a key.
        int score = Integer.MAX_VALUE - keys.size();
        Stream<Object> positions = keys.stream().map(index::find).filter(Objects::nonNull).distinct();
        return new Choice(score, new Plan(positions, false));
    }

    private static Choice walk(OrderedIndex index, Map<String, Object> conditions, Document orderBy) {
        List<List<Object>> prefixes = List.of(FIRST);
        int depth = 0;
        for (String field : index.fields()) {
            List<List<Object>> longer = combine(prefixes, equals(conditions, field));
            if (longer == null) {
                break;
            }
            prefixes = longer;
            depth++;
        }
        List<String> rest = index.fields().subList(depth, index.fields().size());
        Object range = rest.isEmpty() ? null : conditions.get(rest.get(0));
        Object low = bound(range, "$gte", "$gt");
        Object high = bound(range, "$lte", "$lt");

        int direction = prefixes.size() == 1 && index.meetsEachOnce() ? direction(rest, orderBy) : 0;
        int score = 100 * depth + (low != null ? 10 : 0) + (high != null ? 10 : 0) + (direction != 0 ? 5 : 0);
        if (score == 0) {
            return null;
        }
        Stream<Object> positions = prefixes.stream().flatMap(prefix -> {
            List<Object> from = low == null ? prefix : OrderedIndex.append(prefix, low);
            List<Object> to = OrderedIndex.append(high == null ? prefix : OrderedIndex.append(prefix, high),
                OrderedIndex.LAST);
            return index.between(from, to, direction < 0);
        });
        return new Choice(score, new Plan(index.meetsEachOnce() ? positions : positions.distinct(), direction != 0));
    }

    /** 1 or -1 where walking these fields that way gives the order asked for, else 0. */
    private static int direction(List<String> fields, Document orderBy) {
        if (orderBy == null || orderBy.isEmpty() || orderBy.size() > fields.size()) {
            return 0;
        }
        int direction = 0;
        int i = 0;
        for (Map.Entry<String, Object> entry : orderBy.entrySet()) {
            int wanted = entry.getValue() instanceof Number number ? Integer.signum(number.intValue()) : 0;
            if (!entry.getKey().equals(fields.get(i++)) || wanted == 0 || (direction != 0 && wanted != direction)) {
                return 0;
            }
            direction = wanted;
        }
        return direction;
    }

    private static List<List<Object>> combine(List<List<Object>> keys, Collection<?> values) {
        if (values == null || (long) keys.size() * values.size() > MOST_KEYS) {
            return null;
        }
        List<List<Object>> combined = new ArrayList<>(keys.size() * values.size());
        for (List<Object> key : keys) {
            for (Object value : values) {
                combined.add(OrderedIndex.append(key, value));
            }
        }
        return combined;
    }

    /** The values one of which the field must equal, or null where the condition says nothing of the kind. */
    private static Collection<?> equals(Map<String, Object> conditions, String field) {
        Object condition = conditions.get(field);
        if (condition instanceof Document operators && hasOperator(operators)) {
            if (operators.containsKey("$eq")) {
                Object value = operators.get("$eq");
                return isPlain(value) ? normalized(List.of(value)) : null;
            }
            if (operators.get("$in") instanceof Collection<?> values && values.stream().allMatch(Planner::isPlain)) {
                return normalized(values);
            }
            return null;
        }
        return isPlain(condition) ? normalized(List.of(condition)) : null;
    }

    private static Collection<?> normalized(Collection<?> values) {
        return values.isEmpty() ? values : new KeyValue(values).normalized().stream().distinct().toList();
    }

    /** Null also means "missing", an array also means "contains", a pattern isn't a value: those are for the filter. */
    private static boolean isPlain(Object value) {
        return value != null && !(value instanceof Collection)
            && !BsonRegularExpression.isRegularExpression(value)
            && !(value instanceof Document document && hasOperator(document));
    }

    private static boolean hasOperator(Document document) {
        return document.keySet().stream().anyMatch(key -> key.startsWith("$"));
    }

    private static Object bound(Object condition, String inclusive, String exclusive) {
        if (condition instanceof Document operators) {
            Object value = operators.containsKey(inclusive) ? operators.get(inclusive) : operators.get(exclusive);
            return isPlain(value) && !(value instanceof Document) ? value : null;
        }
        return null;
    }
}
