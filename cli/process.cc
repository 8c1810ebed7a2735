#include "cli/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <sstream>

#include "base/file_system.h"

extern char** environ;

namespace sluice::cli {

namespace {

struct ProcessStat {
  char state = '?';
  int threads = 0;
  uint64_t start_ticks = 0;
};

std::optional<ProcessStat> ReadStat(pid_t pid) {
  const std::unique_ptr<FileSystem> fs = NewPosixFileSystem();
  Result<std::string> text = ReadFile(*fs, "/proc/" + std::to_string(pid) + "/stat");
  if (!text.ok()) return std::nullopt;
  // The command's name, in parentheses, may hold blanks and parentheses itself.
  std::istringstream fields(text->substr(text->rfind(')') + 1));
  ProcessStat stat;
  fields >> stat.state;
  std::string skipped;
  for (int field = 4; field < 20; ++field) fields >> skipped;
  fields >> stat.threads >> skipped >> stat.start_ticks;
  return stat;
}

// A socket that closes itself.
class Socket {
 public:
  Socket() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~Socket() { close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

Result<ProcessId> SpawnDetached(const std::vector<std::string>& arguments,
                                const std::string& log_path) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                   0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSID);  // the shell's hang-up does not reach it
  pid_t pid = 0;
  const int error = posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0)
    return Status::IoError("cannot start " + arguments[0] + ": " + std::strerror(error));
  const std::optional<ProcessStat> stat = ReadStat(pid);
  if (!stat) return Status::Unavailable(arguments[0] + " ended at once");
  return ProcessId{pid, stat->start_ticks};
}

bool IsAlive(const ProcessId& process) {
  waitpid(process.pid, nullptr, WNOHANG);  // a child of ours that ended would stay a zombie
  const std::optional<ProcessStat> stat = ReadStat(process.pid);
  if (!stat || stat->start_ticks != process.start_ticks) return false;
  // A zombie may still have threads that are ending, and they hold its ports and its locks.
  return stat->state != 'Z' || stat->threads > 1;
}

bool IsPaused(const ProcessId& process) {
  const std::optional<ProcessStat> stat = ReadStat(process.pid);
  return stat && stat->start_ticks == process.start_ticks && stat->state == 'T';
}

std::string OwnProgram() {
  std::array<char, 4096> path{};
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size() - 1);
  return size > 0 ? std::string(path.data(), static_cast<size_t>(size)) : "sluice";
}

bool PortIsFree(int port) {
  Socket socket;
  const int on = 1;
  setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = Loopback(port);
  return bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

std::optional<int> HttpGetStatus(int port, const std::string& path, int timeout_ms) {
  Socket socket;
  const timeval limit{timeout_ms / 1000, (timeout_ms % 1000) * 1000};
  setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const sockaddr_in address = Loopback(port);
  if (connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return std::nullopt;
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (send(socket.fd(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size()))
    return std::nullopt;
  std::array<char, 16> head{};
  const ssize_t got = recv(socket.fd(), head.data(), head.size() - 1, MSG_WAITALL);
  int status = 0;
  if (got < 12 || sscanf(head.data(), "HTTP/1.%*d %d", &status) != 1) return std::nullopt;
  return status;
}

void SleepMs(int ms) { poll(nullptr, 0, ms); }

}  // namespace sluice::cli
