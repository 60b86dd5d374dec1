package orderflow.benchmarks;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.AutoOffsetReset;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowBytesStoreSupplier;
import org.apache.kafka.streams.state.WindowStore;

/**
 * The windows job on Kafka Streams: BOOTSTRAP TOPIC EVENTS OUT rocksdb|memory.
 *
 * <p>By its processor interface, a window store for each partition of the source, with cache and
 * changelog. The DSL's groupBy would send every order through a topic of its own first, which the
 * job does not ask for. At least once, which is the default.
 */
public final class RevenueByCountry {
    private static final String STORE = "revenue";
    private static final Duration HOUR = Duration.ofHours(1);
    private static final Duration GRACE = Duration.ofHours(1);
    /** Half of it is a segment, a database each: with a day it took four times as long. */
    private static final Duration RETENTION = Duration.ofDays(30);
    private static final int THREADS = 2;
    private static final long CACHE_BYTES = 128L << 20;
    private static final int POLL_RECORDS = 5000;
    private static final int BATCH_BYTES = 256 << 10;
    private static final Duration CLOSE = Duration.ofMinutes(5);

    private RevenueByCountry() {}

    public static void main(String[] arguments) throws InterruptedException {
        Path out = Path.of(arguments[3]);
        Report report = new Report(Long.parseLong(arguments[2]), out);
        List<Map<String, Long>> results = new ArrayList<>();
        boolean memory = arguments[4].equals("memory");
        Topology topology = topology(arguments[1], memory, report, results);
        KafkaStreams streams = new KafkaStreams(topology, settings(arguments[0], out, memory));
        streams.setUncaughtExceptionHandler(
                error -> {
                    error.printStackTrace();
                    Runtime.getRuntime().halt(1);
                    return null;
                });
        streams.start();
        report.awaitAll();
        // Writes the caches out, waits for the changelog and commits.
        if (!streams.close(CLOSE)) {
            System.exit(1);
        }
        double seconds = report.seconds();
        Map<String, Long> totals = new HashMap<>();
        for (Map<String, Long> one : results) {
            one.forEach((key, amount) -> totals.merge(key, amount, Long::sum));
        }
        report.write(seconds, totals);
    }

    private static Properties settings(String bootstrap, Path out, boolean memory) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-streams-" + out.getFileName());
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, out + ".state");
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, THREADS);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, CACHE_BYTES);
        // The orders' times are years ago: without this the broker would delete the changelog
        // while it is measured.
        settings.put(
                StreamsConfig.WINDOW_STORE_CHANGE_LOG_ADDITIONAL_RETENTION_MS_CONFIG,
                Duration.ofDays(36_500).toMillis());
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        settings.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, POLL_RECORDS);
        settings.put(ProducerConfig.BATCH_SIZE_CONFIG, BATCH_BYTES);
        return settings;
    }

    private static Topology topology(
            String topic, boolean memory, Report report, List<Map<String, Long>> results) {
        WindowBytesStoreSupplier supplier =
                memory
                        ? Stores.inMemoryWindowStore(STORE, RETENTION, HOUR, false)
                        : Stores.persistentWindowStore(STORE, RETENTION, HOUR, false);
        Deserializer<Sale> sale = (name, value) -> Sale.of(value);
        return new Topology()
                .addSource(
                        AutoOffsetReset.earliest(),
                        "orders",
                        (record, newest) -> ((Sale) record.value()).placedAt(),
                        Serdes.ByteArray().deserializer(),
                        sale,
                        topic)
                .addProcessor("add", () -> new Adder(report, results), "orders")
                .addStateStore(
                        Stores.windowStoreBuilder(supplier, Serdes.String(), Serdes.Long())
                                .withCachingEnabled()
                                .withLoggingEnabled(Map.of()),
                        "add");
    }

    /** Adds one partition's orders up, and remembers what it last wrote of each window. */
    private static final class Adder implements Processor<byte[], Sale, Void, Void> {
        private final Report report;
        private final Map<String, Long> written = new HashMap<>();
        private WindowStore<String, Long> store;
        private long newest;

        Adder(Report report, List<Map<String, Long>> results) {
            this.report = report;
            synchronized (results) {
                results.add(written);
            }
        }

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            store = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<byte[], Sale> record) {
            report.begin();
            Sale sale = record.value();
            long start = sale.placedAt() - Math.floorMod(sale.placedAt(), HOUR.toMillis());
            newest = Math.max(newest, sale.placedAt());
            if (start + HOUR.toMillis() + GRACE.toMillis() > newest) {
                Long before = store.fetch(sale.country(), start);
                long after = (before == null ? 0 : before) + sale.amount();
                store.put(sale.country(), after, start);
                written.put(start / 1000 + "|" + sale.country(), after);
            }
            report.add();
        }
    }
}
