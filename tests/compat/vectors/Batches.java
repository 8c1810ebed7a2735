import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.zip.CRC32C;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.ByteBufferOutputStream;

/**
 * Record batches as Kafka's own classes write them, and what those classes read from them.
 *
 *   Batches write DIRECTORY      writes NAME.bin (the bytes) and NAME.txt (a line a batch, a line a record)
 *   Batches describe FILE...     prints the lines of any file of batches, so that Kafka can judge ours
 *
 * The same in every run: times, keys and values are fixed.
 */
public final class Batches {
    private static final long TIME_MS = 1_750_000_000_000L;

    public static void main(String[] arguments) throws IOException {
        if (arguments[0].equals("describe")) {
            for (String file : Arrays.asList(arguments).subList(1, arguments.length)) {
                System.out.print(describe(ByteBuffer.wrap(Files.readAllBytes(Path.of(file)))));
            }
            return;
        }
        Path directory = Path.of(arguments[1]);
        Files.createDirectories(directory);
        for (Map.Entry<String, ByteBuffer> vector : vectors().entrySet()) {
            byte[] bytes = new byte[vector.getValue().remaining()];
            vector.getValue().duplicate().get(bytes);
            Files.write(directory.resolve(vector.getKey() + ".bin"), bytes);
            Files.writeString(directory.resolve(vector.getKey() + ".txt"), describe(ByteBuffer.wrap(bytes)));
        }
    }

    private static Map<String, ByteBuffer> vectors() {
        Map<String, ByteBuffer> vectors = new TreeMap<>();
        for (CompressionType type : CompressionType.values()) {
            Compression compression = Compression.of(type).build();
            vectors.put(type.name + "_one", MemoryRecords.withRecords(compression, small()[0]).buffer());
            vectors.put(type.name + "_small", MemoryRecords.withRecords(compression, small()).buffer());
            vectors.put(type.name + "_large", MemoryRecords.withRecords(compression, large()).buffer());
        }
        Compression none = Compression.NONE;
        byte magic = RecordBatch.CURRENT_MAGIC_VALUE;
        vectors.put("idempotent", MemoryRecords.withRecords(magic, 1L << 40, none, TimestampType.CREATE_TIME,
            4711L, (short) 3, 100, 9, false, small()).buffer());
        vectors.put("idempotent_sequence_wraps", MemoryRecords.withRecords(magic, 0, none, TimestampType.CREATE_TIME,
            4711L, (short) 3, Integer.MAX_VALUE - 2, 9, false, small()).buffer());
        vectors.put("transactional", MemoryRecords.withRecords(magic, 7, Compression.zstd().build(),
            TimestampType.CREATE_TIME, 4712L, (short) 0, 0, 9, true, small()).buffer());
        vectors.put("log_append_time", logAppendTime());
        vectors.put("gaps", gaps());
        vectors.put("delete_horizon", deleteHorizon());
        vectors.put("end_transaction_commit", MemoryRecords.withEndTransactionMarker(12, TIME_MS, 5, 4712L, (short) 1,
            new EndTransactionMarker(ControlRecordType.COMMIT, 17)).buffer());
        vectors.put("end_transaction_abort", MemoryRecords.withEndTransactionMarker(13, TIME_MS, 5, 4712L, (short) 1,
            new EndTransactionMarker(ControlRecordType.ABORT, 17)).buffer());
        vectors.put("leader_change", MemoryRecords.withLeaderChangeMessage(3, TIME_MS, 6, ByteBuffer.allocate(256),
            new LeaderChangeMessage().setLeaderId(1)).buffer());
        vectors.put("three_batches", threeBatches());
        return vectors;
    }

    /** Nulls, empties, headers, times out of order, text that is not ASCII. */
    private static SimpleRecord[] small() {
        Header[] headers = {
            new RecordHeader("trace", new byte[] {0, 1, 2, (byte) 255}),
            new RecordHeader("", new byte[0]),
            new RecordHeader("null", (byte[]) null),
            new RecordHeader("trace", utf8("again")),
        };
        return new SimpleRecord[] {
            new SimpleRecord(TIME_MS, utf8("key"), utf8("value")),
            new SimpleRecord(TIME_MS + 5, utf8("tombstone"), null),
            new SimpleRecord(TIME_MS - 5, (byte[]) null, utf8("no key")),
            new SimpleRecord(TIME_MS + 70_000, new byte[0], new byte[0]),
            new SimpleRecord(TIME_MS + 1, utf8("headers"), utf8("f\u00fcnf"), headers),
            new SimpleRecord(TIME_MS + 2, (byte[]) null, (byte[]) null),
        };
    }

    /** 70 KiB, so that every codec writes several blocks; a quarter of it does not compress. */
    private static SimpleRecord[] large() {
        Random random = new Random(42);
        SimpleRecord[] records = new SimpleRecord[80];
        for (int i = 0; i < records.length; ++i) {
            byte[] value = new byte[860 + i];
            if (i % 4 == 0) {
                random.nextBytes(value);
            } else {
                Arrays.fill(value, (byte) ('a' + i % 26));
            }
            records[i] = new SimpleRecord(TIME_MS + i, utf8("key-" + i), value);
        }
        return records;
    }

    private static ByteBuffer logAppendTime() {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(4096), RecordBatch.CURRENT_MAGIC_VALUE,
            Compression.NONE, TimestampType.LOG_APPEND_TIME, 20, TIME_MS + 123);
        for (SimpleRecord record : small()) {
            builder.append(record);
        }
        return builder.build().buffer();
    }

    private static ByteBuffer gaps() {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(4096), Compression.lz4().build(),
            TimestampType.CREATE_TIME, 1000);
        builder.appendWithOffset(1003, new SimpleRecord(TIME_MS, utf8("a"), utf8("1")));
        builder.appendWithOffset(1004, new SimpleRecord(TIME_MS, utf8("b"), utf8("2")));
        builder.appendWithOffset(101_000, new SimpleRecord(TIME_MS, utf8("c"), utf8("3")));
        return builder.build().buffer();
    }

    private static ByteBuffer deleteHorizon() {
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(new ByteBufferOutputStream(4096),
            RecordBatch.CURRENT_MAGIC_VALUE, Compression.NONE, TimestampType.CREATE_TIME, 50,
            RecordBatch.NO_TIMESTAMP, RecordBatch.NO_PRODUCER_ID, RecordBatch.NO_PRODUCER_EPOCH, RecordBatch.NO_SEQUENCE,
            false, false, 2, 4096, TIME_MS + 86_400_000);
        builder.append(new SimpleRecord(TIME_MS, utf8("gone"), null));
        return builder.build().buffer();
    }

    private static ByteBuffer threeBatches() {
        ByteBuffer all = ByteBuffer.allocate(8192);
        all.put(MemoryRecords.withRecords(0, Compression.NONE, 1, small()).buffer());
        all.put(MemoryRecords.withRecords(6, Compression.gzip().build(), 1, small()).buffer());
        all.put(MemoryRecords.withRecords(12, Compression.snappy().build(), 2, small()).buffer());
        return all.flip();
    }

    private static String describe(ByteBuffer bytes) {
        StringBuilder text = new StringBuilder();
        for (RecordBatch batch : MemoryRecords.readableRecords(bytes).batches()) {
            batch.ensureValid();
            text.append("batch base_offset=").append(batch.baseOffset())
                .append(" last_offset=").append(batch.lastOffset())
                .append(" size=").append(batch.sizeInBytes())
                .append(" leader_epoch=").append(batch.partitionLeaderEpoch())
                .append(" crc=").append(batch.checksum())
                .append(" codec=").append(batch.compressionType().name)
                .append(" timestamp_type=").append(batch.timestampType())
                .append(" transactional=").append(batch.isTransactional())
                .append(" control=").append(batch.isControlBatch())
                .append(" delete_horizon=").append(batch.deleteHorizonMs().orElse(-1))
                .append(" max_timestamp=").append(batch.maxTimestamp())
                .append(" producer_id=").append(batch.producerId())
                .append(" producer_epoch=").append(batch.producerEpoch())
                .append(" base_sequence=").append(batch.baseSequence())
                .append(" last_sequence=").append(batch.lastSequence())
                .append(" count=").append(batch.countOrNull()).append('\n');
            for (Record record : batch) {
                text.append("record offset=").append(record.offset())
                    .append(" timestamp=").append(record.timestamp())
                    .append(" key=").append(show(record.key()))
                    .append(" value=").append(show(record.value()))
                    .append(" headers=").append(show(record.headers())).append('\n');
            }
        }
        return text.toString();
    }

    private static String show(Header[] headers) {
        List<String> shown = new ArrayList<>();
        for (Header header : headers) {
            ByteBuffer value = header.value() == null ? null : ByteBuffer.wrap(header.value());
            shown.add(show(ByteBuffer.wrap(utf8(header.key()))) + ":" + show(value));
        }
        return "[" + String.join(",", shown) + "]";
    }

    /** Hex; of what is longer than 64 bytes the length and the CRC-32C. */
    private static String show(ByteBuffer buffer) {
        if (buffer == null) {
            return "null";
        }
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        if (bytes.length <= 64) {
            return HexFormat.of().formatHex(bytes);
        }
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return bytes.length + "bytes/" + crc.getValue();
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
