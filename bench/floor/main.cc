// bench_floor PORT DIRECTORY: the bare server that brokers are compared with. It receives the same
// requests as they do, checks the CRC of each batch, writes it to a file, answers fetches with
// sendfile, and does nothing else. Listens on 127.0.0.1, prints "ready", and serves until it is
// killed.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "bench/floor/server.h"

int main(int argc, char** argv) {
  using namespace sluice::bench;
  if (argc != 3) {
    std::fprintf(stderr, "usage: bench_floor PORT DIRECTORY\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);  // sendfile to a client that went is an error like another
  const auto port = static_cast<uint16_t>(std::atoi(argv[1]));
  Store store(argv[2]);
  FloorApi api(store, "127.0.0.1", port);
  RunFloor(api, port, static_cast<int>(std::thread::hardware_concurrency()));
}
