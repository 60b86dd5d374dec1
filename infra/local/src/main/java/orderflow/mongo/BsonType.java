package orderflow.mongo;

import java.nio.ByteBuffer;
import java.util.Collection;

import org.h2.mvstore.WriteBuffer;
import org.h2.mvstore.type.BasicDataType;

import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.bson.BsonDecoder;
import de.bwaldvogel.mongo.wire.bson.BsonEncoder;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;

/** Documents as BSON on disk, where upstream writes Java's own serialization: several times larger and slower. */
final class BsonType extends BasicDataType<Document> {

    /** Rough bytes of a map entry, and of a value that is neither text nor a container. */
    private static final int ENTRY_BYTES = 64;
    private static final int SCALAR_BYTES = 24;

    @Override
    public int getMemory(Document document) {
        return document == null ? 0 : memoryOf(document);
    }

    private static int memoryOf(Object value) {
        if (value instanceof Document document) {
            int bytes = ENTRY_BYTES;
            for (Object inner : document.values()) {
                bytes += ENTRY_BYTES + memoryOf(inner);
            }
            return bytes;
        }
        if (value instanceof Collection<?> collection) {
            int bytes = ENTRY_BYTES;
            for (Object inner : collection) {
                bytes += memoryOf(inner);
            }
            return bytes;
        }
        return value instanceof String text ? ENTRY_BYTES + text.length() : SCALAR_BYTES;
    }

    @Override
    public void write(WriteBuffer out, Document document) {
        ByteBuf buffer = Unpooled.buffer();
        try {
            BsonEncoder.encodeDocument(document, buffer);
            out.put(buffer.nioBuffer());
        } finally {
            buffer.release();
        }
    }

    @Override
    public Document read(ByteBuffer in) {
        ByteBuf buffer = Unpooled.wrappedBuffer(in);
        Document document = BsonDecoder.decodeBson(buffer);
        in.position(in.position() + buffer.readerIndex());
        return document;
    }

    @Override
    public Document[] createStorage(int size) {
        return new Document[size];
    }
}
