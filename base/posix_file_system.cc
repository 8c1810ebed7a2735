// PosixFileSystem: base/file_system.h on the operating system's calls. Every call is repeated when
// a signal interrupts it, and every failure names the path and the system's reason.
//
// Thread rule: no state of its own; as safe as the calls below it.

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/file_system.h"

namespace sluice {
namespace {

Status ErrnoStatus(int error, const std::string& action, const std::string& path) {
  char buffer[128];
  const std::string message = action + " " + path + ": " + strerror_r(error, buffer, sizeof buffer);
  switch (error) {
    case ENOENT: return Status::NotFound(message);
    case EEXIST: return Status::AlreadyExists(message);
    case ENOSPC:
    case EDQUOT: return Status::DiskFull(message);
    case EMFILE:
    case ENFILE: return Status::ResourceExhausted(message);
    default: return Status::IoError(message);
  }
}

// Calls `call` until no signal interrupts it.
template <typename Call>
auto Uninterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  // Linux releases the descriptor even when close fails, so it is never repeated. What was not
  // synced was never promised.
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

constexpr uint64_t kPageBytes = 4096;

enum class Cached { kAll, kMost, kLess, kUnknown };

// How much of [offset, offset + size) the page cache holds, by cachestat(2): Linux 6.5 and later.
// kMost is half of it or more.
Cached AskPageCache(int fd, uint64_t offset, uint64_t size) {
  constexpr long kCachestat = 451;  // of every architecture
  struct Range {
    uint64_t offset;
    uint64_t length;
  } range{offset, size};
  struct Pages {
    uint64_t cached, dirty, in_writeback, evicted, recently_evicted;
  } pages{};
  static std::atomic<bool> missing{false};
  if (missing.load(std::memory_order_relaxed)) return Cached::kUnknown;
  if (syscall(kCachestat, fd, &range, &pages, 0) != 0) {
    if (errno == ENOSYS || errno == EPERM) missing.store(true, std::memory_order_relaxed);
    return Cached::kUnknown;
  }
  static const uint64_t page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t wanted = (offset + size - 1) / page_bytes - offset / page_bytes + 1;
  if (pages.cached >= wanted) return Cached::kAll;
  return 2 * pages.cached >= wanted ? Cached::kMost : Cached::kLess;
}

bool Lacks(Cached cached) { return cached == Cached::kMost || cached == Cached::kLess; }

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Result<size_t> ReadAt(uint64_t offset, char* out, size_t size) const override {
    size_t done = 0;
    while (done < size) {
      const ssize_t got = Uninterrupted([&] {
        return pread(fd_.get(), out + done, size - done, static_cast<off_t>(offset + done));
      });
      if (got < 0) return ErrnoStatus(errno, "cannot read", path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  Result<size_t> ReadInMemory(uint64_t offset, char* out, size_t size) const override {
    // The page cache is asked first: a read that must not wait starts one of the kernel's own size
    // where it finds nothing.
    if (size > 0 && Lacks(AskPageCache(fd_.get(), offset, size))) {
      SLUICE_ASSIGN_OR_RETURN(const uint64_t file_size, Size());
      if (offset >= file_size) return size_t{0};
      size = static_cast<size_t>(std::min<uint64_t>(size, file_size - offset));
      if (Lacks(AskPageCache(fd_.get(), offset, size))) return WouldWait();
    }
    size_t done = 0;
    while (done < size) {
      iovec part{out + done, size - done};
      const ssize_t got = Uninterrupted([&] {
        return preadv2(fd_.get(), &part, 1, static_cast<off_t>(offset + done), RWF_NOWAIT);
      });
      if (got == 0) break;
      if (got < 0 && errno == EAGAIN) return WouldWait();
      if (got < 0 && errno == EOPNOTSUPP) return ReadAt(offset, out, size);
      if (got < 0) return ErrnoStatus(errno, "cannot read", path_);
      done += static_cast<size_t>(got);
    }
    return done;
  }

  bool InMemory(uint64_t offset, uint64_t size) const override {
    if (size == 0) return true;
    const Cached cached = AskPageCache(fd_.get(), offset, size);
    if (Lacks(cached)) return false;
    // Pages that are just being read are there and still keep a reader waiting: the last one comes
    // last. Where the page cache cannot be asked the two ends stand for the rest.
    if (cached == Cached::kUnknown && !ByteInMemory(offset)) return false;
    return ByteInMemory(offset + size - 1);
  }

  bool MostlyInMemory(uint64_t offset, uint64_t size) const override {
    if (size == 0) return true;
    const Cached cached = AskPageCache(fd_.get(), offset, size);
    return cached == Cached::kUnknown ? InMemory(offset, size) : cached != Cached::kLess;
  }

  void WontRead(uint64_t offset, uint64_t size) const override {
    // Pages that are only touched at one end stay: they may be another reader's.
    const uint64_t first = (offset + kPageBytes - 1) / kPageBytes * kPageBytes;
    const uint64_t end = (offset + size) / kPageBytes * kPageBytes;
    if (first >= end) return;
    (void)posix_fadvise(fd_.get(), static_cast<off_t>(first), static_cast<off_t>(end - first),
                        POSIX_FADV_DONTNEED);
  }

  void WillRead(uint64_t offset, uint64_t size) const override {
    // Linux fetches no more for one call than the device takes at once.
    constexpr uint64_t kPieceBytes = 256u << 10;
    for (uint64_t done = 0; done < size; done += kPieceBytes) {
      (void)posix_fadvise(fd_.get(), static_cast<off_t>(offset + done),
                          static_cast<off_t>(std::min(kPieceBytes, size - done)),
                          POSIX_FADV_WILLNEED);
    }
  }

  Status WriteParts(uint64_t offset, std::span<const std::string_view> parts) override {
    constexpr size_t kVectors = 64;
    iovec vectors[kVectors];
    size_t part = 0;          // the first that is not wholly written
    size_t part_written = 0;  // of it
    while (true) {
      size_t count = 0;
      for (size_t i = part; i < parts.size() && count < kVectors; ++i) {
        const size_t skip = i == part ? part_written : 0;
        if (parts[i].size() == skip) continue;
        vectors[count++] = {const_cast<char*>(parts[i].data()) + skip, parts[i].size() - skip};
      }
      if (count == 0) return Status::Ok();
      const ssize_t wrote = Uninterrupted([&] {
        return pwritev(fd_.get(), vectors, static_cast<int>(count), static_cast<off_t>(offset));
      });
      if (wrote < 0) return ErrnoStatus(errno, "cannot write", path_);
      offset += static_cast<uint64_t>(wrote);
      size_t left = static_cast<size_t>(wrote);
      while (part < parts.size() && left >= parts[part].size() - part_written) {
        left -= parts[part].size() - part_written;
        part_written = 0;
        ++part;
      }
      part_written += left;
    }
  }

  Status Truncate(uint64_t size) override {
    if (Uninterrupted([&] { return ftruncate(fd_.get(), static_cast<off_t>(size)); }) != 0) {
      return ErrnoStatus(errno, "cannot truncate", path_);
    }
    return Status::Ok();
  }

  Result<uint64_t> Size() const override {
    struct stat info {};
    if (fstat(fd_.get(), &info) != 0) return ErrnoStatus(errno, "cannot stat", path_);
    return static_cast<uint64_t>(info.st_size);
  }

  Status Sync() override {
    // Not repeated on failure, EINTR apart: see the rules of use in the header.
    if (Uninterrupted([&] { return fdatasync(fd_.get()); }) != 0) {
      return ErrnoStatus(errno, "cannot sync", path_);
    }
    return Status::Ok();
  }

  int descriptor() const override { return fd_.get(); }

 private:
  Status WouldWait() const { return Status::WouldWait(path_ + " is not in memory"); }

  bool ByteInMemory(uint64_t offset) const {
    char byte;
    iovec part{&byte, 1};
    const ssize_t got = Uninterrupted(
        [&] { return preadv2(fd_.get(), &part, 1, static_cast<off_t>(offset), RWF_NOWAIT); });
    return got >= 0 || errno != EAGAIN;
  }

  Descriptor fd_;
  std::string path_;
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(int fd) : fd_(fd) {}

 private:
  Descriptor fd_;  // the kernel drops the lock with the last descriptor
};

class PosixWholeFileSystem final : public WholeFileSystem {
 public:
  PosixWholeFileSystem(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Status Sync() override {
    if (Uninterrupted([&] { return syncfs(fd_.get()); }) != 0)
      return ErrnoStatus(errno, "cannot sync the file system of", path_);
    return Status::Ok();
  }

 private:
  Descriptor fd_;
  const std::string path_;
};

int OpenFlags(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead: return O_RDONLY;
    case OpenMode::kReadWrite: return O_RDWR;
    case OpenMode::kCreate: return O_RDWR | O_CREAT;
    case OpenMode::kCreateTruncate: return O_RDWR | O_CREAT | O_TRUNC;
  }
  return O_RDONLY;
}

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::shared_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    Descriptor fd(
        Uninterrupted([&] { return open(path.c_str(), OpenFlags(mode) | O_CLOEXEC, 0644); }));
    if (fd.get() < 0) return ErrnoStatus(errno, "cannot open", path);
    struct stat info {};
    if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "cannot stat", path);
    if (S_ISDIR(info.st_mode)) return ErrnoStatus(EISDIR, "cannot open", path);
    return std::shared_ptr<File>(std::make_shared<PosixFile>(fd.Release(), path));
  }

  Status CreateDirectories(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return ErrnoStatus(error.value(), "cannot create directory", path);
    return Status::Ok();
  }

  Result<std::vector<std::string>> List(const std::string& path) override {
    DIR* directory = opendir(path.c_str());
    if (directory == nullptr) return ErrnoStatus(errno, "cannot list", path);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(directory)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    const int error = errno;
    closedir(directory);
    if (error != 0) return ErrnoStatus(error, "cannot list", path);
    std::sort(names.begin(), names.end());
    return names;
  }

  bool Exists(const std::string& path) override {
    struct stat info {};
    return stat(path.c_str(), &info) == 0;
  }

  Result<uint64_t> FileSize(const std::string& path) override {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "cannot stat", path);
    if (S_ISDIR(info.st_mode)) return ErrnoStatus(EISDIR, "cannot stat", path);
    return static_cast<uint64_t>(info.st_size);
  }

  bool IsDirectory(const std::string& path) override {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) != 0) {
      return ErrnoStatus(errno, "cannot rename " + from + " to", to);
    }
    return Status::Ok();
  }

  Status Remove(const std::string& path) override {
    // remove(3): files and empty directories alike.
    if (remove(path.c_str()) != 0) return ErrnoStatus(errno, "cannot remove", path);
    return Status::Ok();
  }

  Status RemoveAll(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return ErrnoStatus(error.value(), "cannot remove", path);
    return Status::Ok();
  }

  Status SyncDirectory(const std::string& path) override {
    const Descriptor fd(
        Uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (fd.get() < 0) return ErrnoStatus(errno, "cannot open directory", path);
    if (Uninterrupted([&] { return fsync(fd.get()); }) != 0) {
      return ErrnoStatus(errno, "cannot sync directory", path);
    }
    return Status::Ok();
  }

  Status SyncFileSystem(const std::string& path) override {
    SLUICE_ASSIGN_OR_RETURN(const auto whole, OpenWhole(path));
    return whole->Sync();
  }

  Result<std::unique_ptr<WholeFileSystem>> OpenWhole(const std::string& path) override {
    Descriptor fd(Uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
    if (fd.get() < 0) return ErrnoStatus(errno, "cannot open", path);
    return std::unique_ptr<WholeFileSystem>(
        std::make_unique<PosixWholeFileSystem>(fd.Release(), path));
  }

  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    Descriptor fd(
        Uninterrupted([&] { return open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644); }));
    if (fd.get() < 0) return ErrnoStatus(errno, "cannot open", path);
    if (Uninterrupted([&] { return flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
      if (errno == EWOULDBLOCK) return Status::Unavailable("locked by another process: " + path);
      return ErrnoStatus(errno, "cannot lock", path);
    }
    return std::unique_ptr<FileLock>(std::make_unique<PosixFileLock>(fd.Release()));
  }

  Result<DiskSpace> Space(const std::string& path) override {
    struct statvfs info {};
    if (Uninterrupted([&] { return statvfs(path.c_str(), &info); }) != 0) {
      return ErrnoStatus(errno, "cannot read the space of", path);
    }
    return DiskSpace{.total_bytes = info.f_blocks * info.f_frsize,
                     .free_bytes = info.f_bavail * info.f_frsize};
  }
};

}  // namespace

std::unique_ptr<FileSystem> NewPosixFileSystem() { return std::make_unique<PosixFileSystem>(); }

}  // namespace sluice
