import java.io.PrintStream;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocol;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocolCollection;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordHelpers;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordSerde;
import org.apache.kafka.coordinator.group.OffsetAndMetadata;
import org.apache.kafka.coordinator.group.classic.ClassicGroup;
import org.apache.kafka.coordinator.group.classic.ClassicGroupMember;
import org.apache.kafka.coordinator.group.classic.ClassicGroupState;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMemberMetadataValue.ClassicMemberMetadata;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMemberMetadataValue.ClassicProtocol;
import org.apache.kafka.coordinator.group.modern.MemberState;
import org.apache.kafka.coordinator.group.modern.consumer.ConsumerGroupMember;
import org.apache.kafka.coordinator.group.modern.consumer.ResolvedRegularExpression;

/**
 * Writes what Kafka's own coordinator puts into __consumer_offsets: GroupRecords OUT_DIRECTORY.
 *
 * records.txt has a line "name key value" for each record, in hex, with "-" for no value: keys and values as they stand in
 * the topic, in the versions that this release chooses. partitions.txt has a line "group count partition" with the group in
 * hex ("-" for the empty one). The output is the same in every run.
 */
public final class GroupRecords {
    private static final String GROUP = "group-\u00e4";
    private static final String MEMBER = "member-1";
    private static final Uuid TOPIC = new Uuid(0x0102030405060708L, 0x090a0b0c0d0e0f10L);
    private static final Time FIXED_TIME = (Time) Proxy.newProxyInstance(Time.class.getClassLoader(), new Class<?>[] {Time.class},
        (proxy, method, arguments) -> 1700000000000L);
    private static final GroupCoordinatorRecordSerde SERDE = new GroupCoordinatorRecordSerde();

    private final PrintStream file;

    private GroupRecords(PrintStream file) {
        this.file = file;
    }

    public static void main(String[] args) throws Exception {
        Path out = Path.of(args[0]);
        Files.createDirectories(out);
        try (PrintStream file = new PrintStream(out.resolve("records.txt").toFile(), StandardCharsets.US_ASCII)) {
            GroupRecords records = new GroupRecords(file);
            records.writeOffsets();
            records.writeClassicGroups();
            records.writeConsumerGroups();
            records.writeTombstones();
        }
        try (PrintStream file = new PrintStream(out.resolve("partitions.txt").toFile(), StandardCharsets.US_ASCII)) {
            writePartitions(file);
        }
    }

    private void write(String name, CoordinatorRecord record) {
        byte[] value = SERDE.serializeValue(record);
        file.println(String.join(" ", name, hex(SERDE.serializeKey(record)), value == null ? "-" : hex(value)));
    }

    private static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }

    private void writeOffsets() {
        write("offset_commit", GroupCoordinatorRecordHelpers.newOffsetCommitRecord(GROUP, "topic", 7,
            new OffsetAndMetadata(1234567890123L, OptionalInt.of(5), "meta", 1700000000000L, OptionalLong.empty(), TOPIC)));
        write("offset_commit_without_id", GroupCoordinatorRecordHelpers.newOffsetCommitRecord(GROUP, "topic", 7,
            new OffsetAndMetadata(0, OptionalInt.empty(), "", 1700000000000L, OptionalLong.empty(), Uuid.ZERO_UUID)));
        write("offset_commit_that_expires", GroupCoordinatorRecordHelpers.newOffsetCommitRecord(GROUP, "topic", 7,
            new OffsetAndMetadata(9, OptionalInt.of(5), "meta", 1700000000000L, OptionalLong.of(1700000000500L), TOPIC)));
    }

    private void writeClassicGroups() {
        ClassicGroup group = new ClassicGroup(new LogContext(), GROUP, ClassicGroupState.EMPTY, FIXED_TIME);
        write("empty_group", GroupCoordinatorRecordHelpers.newEmptyGroupMetadataRecord(group));
        JoinGroupRequestProtocolCollection protocols = new JoinGroupRequestProtocolCollection();
        protocols.add(new JoinGroupRequestProtocol().setName("range").setMetadata(new byte[] {1, 2, 3}));
        group.add(new ClassicGroupMember(MEMBER, Optional.of("instance-1"), "client", "/127.0.0.1", 300000, 45000,
            "consumer", protocols));
        group.transitionTo(ClassicGroupState.PREPARING_REBALANCE);
        group.initNextGeneration();
        write("group", GroupCoordinatorRecordHelpers.newGroupMetadataRecord(group, Map.of(MEMBER, new byte[] {4, 5})));
    }

    private void writeConsumerGroups() {
        ConsumerGroupMember.Builder builder = new ConsumerGroupMember.Builder(MEMBER)
            .setRackId("rack").setClientId("client").setClientHost("/127.0.0.1").setRebalanceTimeoutMs(300000)
            .setSubscribedTopicNames(List.of("a", "b")).setServerAssignorName("uniform");
        write("member", GroupCoordinatorRecordHelpers.newConsumerGroupMemberSubscriptionRecord(GROUP, builder.build()));
        builder.setInstanceId("instance-1").setSubscribedTopicRegex("a.*").setClassicMemberMetadata(
            new ClassicMemberMetadata().setSessionTimeoutMs(45000).setSupportedProtocols(
                List.of(new ClassicProtocol().setName("range").setMetadata(new byte[] {1, 2, 3}))));
        write("classic_member", GroupCoordinatorRecordHelpers.newConsumerGroupMemberSubscriptionRecord(GROUP, builder.build()));
        write("epoch", GroupCoordinatorRecordHelpers.newConsumerGroupEpochRecord(GROUP, 11, 0x1122334455667788L));
        write("target_metadata",
            GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentMetadataRecord(GROUP, 11, 1700000000000L));
        write("target",
            GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentRecord(GROUP, MEMBER, Map.of(TOPIC, new TreeSet<>(List.of(0, 1)))));
        builder.setState(MemberState.UNREVOKED_PARTITIONS).setMemberEpoch(10).setPreviousMemberEpoch(9)
            .setAssignedPartitions(Map.of(TOPIC, new TreeMap<>(Map.of(0, 9, 1, 10))))
            .setPartitionsPendingRevocation(Map.of(TOPIC, new TreeMap<>(Map.of(2, 8))));
        write("current", GroupCoordinatorRecordHelpers.newConsumerGroupCurrentAssignmentRecord(GROUP, builder.build()));
        write("regular_expression", GroupCoordinatorRecordHelpers.newConsumerGroupRegularExpressionRecord(GROUP, "a.*",
            new ResolvedRegularExpression(new TreeSet<>(List.of("a1", "a2")), 77, 1700000000000L)));
    }

    private void writeTombstones() {
        write("no_offset", GroupCoordinatorRecordHelpers.newOffsetCommitTombstoneRecord(GROUP, "topic", 7));
        write("no_group", GroupCoordinatorRecordHelpers.newGroupMetadataTombstoneRecord(GROUP));
        write("no_epoch", GroupCoordinatorRecordHelpers.newConsumerGroupEpochTombstoneRecord(GROUP));
        write("no_partition_metadata",
            GroupCoordinatorRecordHelpers.newConsumerGroupSubscriptionMetadataTombstoneRecord(GROUP));
        write("no_member", GroupCoordinatorRecordHelpers.newConsumerGroupMemberSubscriptionTombstoneRecord(GROUP, MEMBER));
        write("no_target_metadata",
            GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentMetadataTombstoneRecord(GROUP));
        write("no_target", GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentTombstoneRecord(GROUP, MEMBER));
        write("no_current", GroupCoordinatorRecordHelpers.newConsumerGroupCurrentAssignmentTombstoneRecord(GROUP, MEMBER));
        write("no_regular_expression", GroupCoordinatorRecordHelpers.newConsumerGroupRegularExpressionTombstone(GROUP, "a.*"));
        write("no_share_group", GroupCoordinatorRecordHelpers.newShareGroupEpochTombstoneRecord(GROUP));
    }

    private static void writePartitions(PrintStream file) {
        // The sixth hashes to Integer.MIN_VALUE, of which there is no absolute value.
        for (String group : List.of("", "g", "console-consumer-12345", "gr\u00fcppe", "\u4e16\u754c", "polygenelubricants",
            "\ud83d\ude00", "a\ud83d\ude00b\ud800\udc00\udbff\udfff", "\u0000\u007f\u0080\u07ff\u0800\uffff")) {
            String bytes = group.isEmpty() ? "-" : hex(group.getBytes(StandardCharsets.UTF_8));
            for (int count : new int[] {1, 50, 997, Integer.MAX_VALUE}) {
                file.println(bytes + " " + count + " " + Utils.abs(group.hashCode()) % count);
            }
        }
    }
}
