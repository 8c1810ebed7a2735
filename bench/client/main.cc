// bench_client: the load of bench/compare.py, by librdkafka, the same for every server.
//
//   bench_client VERB KEY=VALUE...     all verbs: bootstrap= topic=
//   produce   as fast as it goes: mib= record_bytes= [warm_mib= producers= acks= idempotence=0|1
//             compression= half_compressible=0|1 linger_ms= batch_bytes=]
//   consume   every partition from its beginning: mib= [warm_mib= partitions=]
//   latency   at a fixed rate, to the acknowledgement and to a consumer: rate= seconds=
//             record_bytes= [warm_seconds= partitions= acks= linger_ms= idempotence=
//             drain_seconds=]
//   idle      connections that say nothing: connections= seconds=
//   create    [partitions= replicas= config.KEY=VALUE... wait=0|1], until every replica is in sync,
//   or
//             with wait=0 until it is answered
//   delete
//
// One JSON object a line on stdout (bench/client/client.h).

#include <cstdio>

#include "bench/client/client.h"

int main(int argc, char** argv) {
  using namespace sluice::bench;
  const std::map<std::string, int (*)(const Arguments&)> verbs = {
      {"produce", RunProduce}, {"consume", RunConsume}, {"latency", RunLatency},
      {"idle", RunIdle},       {"create", RunCreate},   {"delete", RunDelete}};
  const auto verb = verbs.find(argc > 1 ? argv[1] : "");
  if (verb != verbs.end()) return verb->second(Arguments(argc, argv, 2));
  std::fprintf(stderr,
               "usage: bench_client produce|consume|latency|idle|create|delete KEY=VALUE...\n"
               "  the head of bench/client/main.cc tells what each takes\n");
  return 2;
}
