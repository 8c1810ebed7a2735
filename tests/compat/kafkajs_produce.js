// kafkajs_produce.js BOOTSTRAP TOPIC: writes one record for each key read from stdin; prints "key partition" as a consumer would find them out: from the
// partition the client chose.
const { Kafka, Partitioners, logLevel } = require('kafkajs');

async function main() {
  const [bootstrap, topic] = process.argv.slice(2);
  const keys = require('fs').readFileSync(0, 'utf8').split('\n').filter((line) => line);
  const kafka = new Kafka({ clientId: 'compat', brokers: bootstrap.split(','), logLevel: logLevel.ERROR });
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false });
  await producer.connect();
  await producer.send({ topic, acks: -1, messages: keys.map((key) => ({ key, value: `kafkajs ${key}` })) });
  await producer.disconnect();
  const admin = kafka.admin();
  await admin.connect();
  const topics = await admin.listTopics();
  await admin.disconnect();
  if (!topics.includes(topic)) throw new Error(`kafkajs does not see ${topic}`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
