// What chaos_client.cc does, by Kafka's own clients: `produce` and `follow`, with the same arguments
// and the same lines in the history.

import java.io.FileWriter;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class ChaosClient {
  static final long VALUES_PER_CLIENT = 1_000_000_000L;
  static final int RECORDS_PER_SECOND = 100;
  static final Duration POLL = Duration.ofMillis(100);

  static String topic;
  static int partitions;
  static long client;
  static PrintWriter history;

  static long nowUs() {
    return System.nanoTime() / 1000; // CLOCK_MONOTONIC, as chaos_client.cc has it
  }

  static synchronized void add(int partition, long beginUs, boolean ok, String what) {
    history.printf("{\"client\": %d, \"begin_us\": %d, \"end_us\": %d, \"outcome\": \"%s\", \"topic\": \"%s\", \"partition\": %d, %s}%n",
        client, beginUs, nowUs(), ok ? "ok" : "unknown", topic, partition, what);
    history.flush();
  }

  static volatile boolean closed = false;

  static Properties settings(String bootstrap) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("request.timeout.ms", "4000");
    settings.put("reconnect.backoff.max.ms", "500");
    return settings;
  }

  static void produce(String bootstrap) throws Exception {
    Properties settings = settings(bootstrap);
    settings.put("acks", "all");
    settings.put("enable.idempotence", "true");
    settings.put("linger.ms", "2");
    // It tries for as long as it lives: that all is acknowledged at the end is the cluster's duty.
    settings.put("delivery.timeout.ms", "2147483647");
    settings.put("max.block.ms", "120000");
    AtomicReference<Exception> failed = new AtomicReference<>();
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
      long startUs = nowUs(), count = 0;
      while (!closed && failed.get() == null) {
        for (long due = (nowUs() - startUs) * RECORDS_PER_SECOND / 1_000_000; count < due; ++count) {
          long value = client * VALUES_PER_CLIENT + count, beginUs = nowUs();
          int partition = (int) (count % partitions);
          producer.send(new ProducerRecord<>(topic, partition, null, Long.toString(value)), (told, error) -> {
            boolean ok = error == null;
            String offset = ok && told.hasOffset() ? ", \"offset\": " + told.offset() : "";
            add(partition, beginUs, ok, "\"send\": {\"value\": " + value + offset + "}");
            if (!ok) failed.compareAndSet(null, error);
          });
        }
        Thread.sleep(5);
      }
      producer.flush();
    }
    if (failed.get() != null) throw failed.get();
  }

  static void commit(KafkaConsumer<String, String> consumer, String group, TopicPartition place, long offset) {
    long beginUs = nowUs();
    OffsetAndMetadata committed = consumer.committed(Set.of(place), Duration.ofSeconds(5)).get(place);
    String known = committed == null ? "" : ", \"offset\": " + committed.offset();
    add(place.partition(), beginUs, true, "\"fetch\": {\"group\": \"" + group + "\"" + known + "}");
    beginUs = nowUs();
    String what = "\"commit\": {\"group\": \"" + group + "\", \"offset\": " + offset + "}";
    boolean done = false;
    try {
      consumer.commitSync(Map.of(place, new OffsetAndMetadata(offset)), Duration.ofSeconds(5));
      done = true;
    } finally {
      add(place.partition(), beginUs, done, what);
    }
  }

  static void follow(String bootstrap) throws Exception {
    String group = "chaos-" + client;
    Properties settings = settings(bootstrap);
    settings.put("group.id", group);
    settings.put("enable.auto.commit", "false");
    settings.put("auto.offset.reset", "none");
    List<TopicPartition> places = new ArrayList<>();
    for (int i = 0; i < partitions; ++i) places.add(new TopicPartition(topic, i));
    long[] at = new long[partitions];
    boolean[] begun = new boolean[partitions];
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
      consumer.assign(places);
      for (TopicPartition place : places) consumer.seek(place, 0);
      for (int next = 0; !closed; next = (next + 1) % partitions) {
        long beginUs = nowUs();
        ConsumerRecords<String, String> polled = consumer.poll(POLL);
        for (TopicPartition place : polled.partitions()) {
          List<ConsumerRecord<String, String>> records = polled.records(place);
          int partition = place.partition();
          long to = records.get(records.size() - 1).offset() + 1;
          String seen = records.stream().map(each -> "[" + each.offset() + ", " + each.value() + "]").collect(Collectors.joining(", "));
          add(partition, beginUs, true, "\"poll\": {\"from\": " + at[partition] + ", \"to\": " + to + (begun[partition] ? "" : ", \"sought\": true")
              + ", \"records\": [" + seen + "]}");
          at[partition] = to;
          begun[partition] = true;
        }
        try {
          commit(consumer, group, places.get(next), at[next]);
        } catch (KafkaException notNow) {
          // The coordinator is not there; it is asked again in the next turn.
        }
      }
    }
  }

  public static void main(String[] given) throws Exception {
    topic = given[2];
    partitions = Integer.parseInt(given[3]);
    client = Long.parseLong(given[4]);
    history = new PrintWriter(new FileWriter(given[5], true));
    Thread watch = new Thread(() -> {
      try {
        while (System.in.read() >= 0) { }
      } catch (java.io.IOException ended) {
        // As good as closed.
      }
      closed = true;
    });
    watch.setDaemon(true);
    watch.start();
    if (given[0].equals("produce")) {
      produce(given[1]);
    } else {
      follow(given[1]);
    }
    history.close();
  }
}
