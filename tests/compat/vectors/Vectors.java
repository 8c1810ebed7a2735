import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.BaseRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;

/**
 * Writes what Kafka's own message classes put on the wire, as the measure for ours: Vectors SCHEMA_DIRECTORY OUT_DIRECTORY.
 *
 * For each schema X.msg it writes X.txt, a line "message version variant hex" for each message, version and variant ("-" for
 * no bytes at all). Which fields a version has is read from the classes' own Schema, so nothing here depends on our schemas
 * but the list of APIs. The output is the same in every run.
 */
public final class Vectors {
    /** What the fields of a message hold. */
    enum Variant {
        DEFAULTS,     // a new object
        ELEMENTS,     // one new element in every array
        FILLED,       // every field set, two elements in every array
        EXTREMES,     // the same with the least numbers and strings that need a longer length
        NULL_LEAVES,  // filled, but whatever may be null is, except arrays of structs
        NULLS,        // filled, but whatever may be null is
        UNKNOWN_TAGS  // filled, with tagged fields that no version knows in every struct
    }

    private static final Pattern API = Pattern.compile("^api (\\w+), key (\\d+),.*", Pattern.MULTILINE);
    private static final Pattern FIELDS = Pattern.compile("^(?:header|data) (\\w+),.*", Pattern.MULTILINE);
    private static final Pattern RECORD = Pattern.compile("^record (\\w+),.*", Pattern.MULTILINE);
    private static final String MESSAGES = "org.apache.kafka.common.message.";
    private static final String GROUP_RECORDS = "org.apache.kafka.coordinator.group.generated.";

    private final Variant variant;
    private long counter = 0;

    private Vectors(Variant variant) {
        this.variant = variant;
    }

    public static void main(String[] args) throws Exception {
        Path schemas = Path.of(args[0]);
        Path out = Path.of(args[1]);
        Files.createDirectories(out);
        List<Path> paths;
        try (var stream = Files.list(schemas)) {
            paths = stream.filter(p -> p.toString().endsWith(".msg")).sorted().toList();
        }
        for (Path path : paths) {
            String text = Files.readString(path);
            String stem = path.getFileName().toString().replace(".msg", "");
            try (PrintStream file = new PrintStream(out.resolve(stem + ".txt").toFile(), StandardCharsets.US_ASCII)) {
                writeSchema(text, file);
            }
        }
    }

    private static void writeSchema(String text, PrintStream file) throws Exception {
        Matcher api = API.matcher(text);
        if (api.find()) {
            ApiKeys key = ApiKeys.forId(Short.parseShort(api.group(2)));
            short last = key.latestVersion(false);
            writeMessage(key.messageType.newRequest().getClass(), last, file);
            writeMessage(key.messageType.newResponse().getClass(), last, file);
            return;
        }
        Matcher record = RECORD.matcher(text);
        if (record.find()) {
            for (String section : List.of("Key", "Value")) {
                if (!text.contains("\n" + section.toLowerCase(Locale.ROOT) + "\n")) continue;
                writeMessage(Class.forName(GROUP_RECORDS + record.group(1) + section), Short.MAX_VALUE, file);
            }
            return;
        }
        Matcher fields = FIELDS.matcher(text);
        if (!fields.find()) throw new IOException("no known kind of schema");
        // What goes over the wire by itself has a suffix in Java.
        String suffix = fields.group().startsWith("header") ? "Data" : "";
        writeMessage(Class.forName(MESSAGES + fields.group(1) + suffix), Short.MAX_VALUE, file);
    }

    private static void writeMessage(Class<?> type, short last, PrintStream file) throws Exception {
        String name = type.getSimpleName().replaceAll("Data$", "");
        Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
        for (short version = 0; version < schemas.length && version <= last; version++) {
            if (schemas[version] == null) continue;
            for (Variant variant : Variant.values()) {
                Object message = type.getConstructor().newInstance();
                if (variant == Variant.UNKNOWN_TAGS && tagsOf(schemas[version]) == null) continue;
                new Vectors(variant).fill(message, schemas[version]);
                ByteBuffer bytes = MessageUtil.toByteBufferAccessor((Message) message, version).buffer();
                byte[] array = new byte[bytes.remaining()];
                bytes.get(array);
                String hex = array.length == 0 ? "-" : HexFormat.of().formatHex(array);
                file.println(String.join(" ", name, "" + version, variant.name().toLowerCase(Locale.ROOT), hex));
            }
        }
    }

    private static TaggedFields tagsOf(Schema schema) {
        for (BoundField field : schema.fields()) {
            if (field.def.type instanceof TaggedFields tags) return tags;
        }
        return null;
    }

    /** Sets the fields of `object` that `schema` has. */
    private void fill(Object object, Schema schema) throws Exception {
        if (variant == Variant.DEFAULTS) return;
        for (BoundField field : schema.fields()) {
            if (field.def.type instanceof TaggedFields tags) {
                for (Map.Entry<Integer, org.apache.kafka.common.protocol.types.Field> tagged : tags.fields().entrySet()) {
                    set(object, tagged.getValue().name, tagged.getValue().type);
                }
                if (variant == Variant.UNKNOWN_TAGS) addUnknownTags((Message) object);
            } else {
                set(object, field.def.name, field.def.type);
            }
        }
    }

    private void addUnknownTags(Message object) {
        object.unknownTaggedFields().add(new RawTaggedField(20, new byte[] {1, 2, (byte) ++counter}));
        object.unknownTaggedFields().add(new RawTaggedField(300, new byte[0]));
        object.unknownTaggedFields().add(new RawTaggedField(70000, new byte[130]));
    }

    private void set(Object object, String schemaName, Type type) throws Exception {
        Field field = javaField(object.getClass(), schemaName);
        boolean structs = type.isArray() && type.arrayElementType().orElseThrow() instanceof Schema;
        if (variant == Variant.ELEMENTS && !structs) return;
        if (type.isNullable() && (variant == Variant.NULLS || (variant == Variant.NULL_LEAVES && !structs))) {
            field.set(object, null);
            return;
        }
        Schema struct = structOf(type);
        if (type.isArray()) {
            field.set(object, array(field, type.arrayElementType().orElseThrow()));
        } else if (struct != null) {
            Object value = field.getType().getConstructor().newInstance();
            fill(value, struct);
            field.set(object, value);
        } else {
            field.set(object, scalar(field.getType(), type));
        }
    }

    /** The struct that a type is, or null; structs that may be null are wrapped. */
    private static Schema structOf(Type type) throws Exception {
        if (type instanceof Schema schema) return schema;
        for (Class<?> c = type.getClass(); c != null; c = c.getSuperclass()) {
            for (Field field : c.getDeclaredFields()) {
                if (field.getType() == Schema.class) {
                    field.setAccessible(true);
                    return (Schema) field.get(type);
                }
            }
        }
        return null;
    }

    @SuppressWarnings("unchecked")
    private Object array(Field field, Type elementType) throws Exception {
        Collection<Object> elements;
        Class<?> elementClass;
        if (field.getType() == List.class) {
            elements = new ArrayList<>();
            elementClass = (Class<?>) ((ParameterizedType) field.getGenericType()).getActualTypeArguments()[0];
        } else {
            elements = (Collection<Object>) field.getType().getConstructor().newInstance();
            elementClass = (Class<?>) ((ParameterizedType) field.getType().getGenericSuperclass()).getActualTypeArguments()[0];
        }
        int count = variant == Variant.ELEMENTS ? 1 : 2;
        for (int i = 0; i < count; i++) {
            if (elementType instanceof Schema schema) {
                Object element = elementClass.getConstructor().newInstance();
                // Arrays inside a new element get theirs as well.
                fill(element, schema);
                elements.add(element);
            } else {
                elements.add(scalar(elementClass, elementType));
            }
        }
        return elements;
    }

    private Object scalar(Class<?> javaClass, Type type) {
        boolean extreme = variant == Variant.EXTREMES;
        long n = ++counter;
        if (javaClass == boolean.class || javaClass == Boolean.class) return n % 2 == 1 || extreme;
        if (javaClass == byte.class || javaClass == Byte.class) return extreme ? Byte.MIN_VALUE : (byte) (n % 120 + 2);
        if (javaClass == short.class || javaClass == Short.class) return extreme ? Short.MIN_VALUE : (short) (n * 257);
        if (javaClass == int.class || javaClass == Integer.class) return extreme ? Integer.MIN_VALUE : (int) (n * 0x01030507L);
        if (javaClass == long.class || javaClass == Long.class) return extreme ? Long.MIN_VALUE : n * 0x0102030405060709L;
        if (javaClass == double.class || javaClass == Double.class) return extreme ? -Double.MIN_VALUE : n * 1.5;
        if (javaClass == String.class) return extreme ? "\u00e4\u4e16".repeat(26) + n : "text-" + n;
        if (javaClass == Uuid.class) return extreme ? new Uuid(-1L, -1L) : new Uuid(n * 0x0203050709L, n);
        if (javaClass == byte[].class) return bytes(extreme ? 200 : 5, n);
        if (javaClass == ByteBuffer.class) return ByteBuffer.wrap(bytes(extreme ? 200 : 5, n));
        if (javaClass == BaseRecords.class) {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes(extreme ? 400 : 9, n)));
        }
        throw new IllegalStateException("no value for " + javaClass + " " + type);
    }

    private static byte[] bytes(int size, long seed) {
        byte[] bytes = new byte[size];
        for (int i = 0; i < size; i++) bytes[i] = (byte) (seed * 31 + i * 7);
        return bytes;
    }

    private static Field javaField(Class<?> type, String schemaName) throws NoSuchFieldException {
        String wanted = schemaName.replace("_", "").toLowerCase(Locale.ROOT);
        for (Field field : type.getDeclaredFields()) {
            if (field.getName().toLowerCase(Locale.ROOT).equals(wanted)) {
                field.setAccessible(true);
                return field;
            }
        }
        throw new NoSuchFieldException(type + "." + schemaName);
    }
}
