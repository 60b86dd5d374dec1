package orderflow.benchmarks;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;

/** What the job needs of a confirmed order: country, total in minor units, time of the order. */
record Sale(String country, long amount, long placedAt) {
    private static final JsonFactory JSON = new JsonFactory();
    private static final int MINOR_UNITS = 100;

    static Sale of(byte[] value) {
        String country = null;
        Instant placedAt = null;
        double total = 0;
        try (JsonParser parser = JSON.createParser(value)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                parser.nextToken();
                switch (field) {
                    case "country" -> country = parser.getText();
                    case "total" -> total = parser.getDoubleValue();
                    case "placedAt" -> placedAt = Instant.parse(parser.getText());
                    default -> parser.skipChildren();
                }
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        if (country == null || placedAt == null) {
            throw new IllegalArgumentException("an order without a country or a time");
        }
        return new Sale(country, Math.round(total * MINOR_UNITS), placedAt.toEpochMilli());
    }
}
