// kafkajs_member.js BOOTSTRAP GROUP TOPIC: one member of a classic group, until it is killed or gets SIGTERM. It prints "partition offset value" for each record and
// commits only what it has printed.
const fs = require('fs');
const { Kafka, logLevel } = require('kafkajs');

async function main() {
  const [bootstrap, groupId, topic] = process.argv.slice(2);
  const kafka = new Kafka({ clientId: 'compat', brokers: bootstrap.split(','), logLevel: logLevel.ERROR, retry: { initialRetryTime: 100, retries: 30 } });
  const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 1000, maxWaitTimeInMs: 200 });
  process.on('SIGTERM', () => consumer.disconnect().then(() => process.exit(0)));
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    autoCommitInterval: 100,
    eachMessage: async ({ partition, message }) => fs.writeSync(1, `${partition} ${message.offset} ${message.value}\n`),
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
