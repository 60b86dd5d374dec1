package orderflow.benchmarks;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;

/** The same as benchmarks/windows/peers/report.py: how far the run is, and in the end its result. */
final class Report {
    private static final long WRITE_EVERY_MILLISECONDS = 500;
    private static final double NANOSECONDS = 1e9;

    private final long events;
    private final Path out;
    private final AtomicLong processed = new AtomicLong();
    private final AtomicLong began = new AtomicLong();
    private final CountDownLatch all = new CountDownLatch(1);

    Report(long events, Path out) {
        this.events = events;
        this.out = out;
        Thread writer = new Thread(this::keepWriting, "report");
        writer.setDaemon(true);
        writer.start();
    }

    void begin() {
        if (began.get() == 0) {
            began.compareAndSet(0, System.nanoTime());
        }
    }

    void add() {
        if (processed.incrementAndGet() == events) {
            all.countDown();
        }
    }

    void awaitAll() throws InterruptedException {
        all.await();
    }

    double seconds() {
        return (System.nanoTime() - began.get()) / NANOSECONDS;
    }

    /** Written under the lock, so that no half-way figure comes after the last. */
    synchronized void write(double seconds, Map<String, Long> totals) {
        Path draft = out.resolveSibling(out.getFileName() + ".draft");
        try {
            try (JsonGenerator json =
                    new JsonFactory().createGenerator(Files.newOutputStream(draft))) {
                json.writeStartObject();
                json.writeNumberField("processed", processed.get());
                json.writeNumberField("seconds", seconds);
                if (totals == null) {
                    json.writeNullField("totals");
                } else {
                    json.writeObjectFieldStart("totals");
                    for (Map.Entry<String, Long> total : totals.entrySet()) {
                        json.writeNumberField(total.getKey(), total.getValue());
                    }
                    json.writeEndObject();
                    began.set(0);
                }
                json.writeEndObject();
            }
            Files.move(draft, out, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private void keepWriting() {
        try {
            while (true) {
                Thread.sleep(WRITE_EVERY_MILLISECONDS);
                synchronized (this) {
                    if (began.get() != 0) {
                        write(seconds(), null);
                    }
                }
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }
}
