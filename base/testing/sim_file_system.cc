// The tree of nodes behind SimFileSystem. Each directory holds two maps: what running code sees and
// what a crash leaves. Changes to the first wait in State::pending, in order, until a sync or a
// crash moves (a prefix of) them to the second.

#include "base/testing/sim_file_system.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "base/testing/sim_disk_tree.h"

namespace sluice::testing {

struct SimFileSystem::State {
  mutable std::mutex mutex;  // guards all below and every node
  NodePtr root = std::make_shared<Node>(Node{.is_directory = true});
  std::vector<TreeChange> pending;
  std::vector<FileFault> faults;
  std::set<std::string> locks;
  uint64_t generation = 0;  // counts the ends of processes; files and locks of older ones are dead
  std::map<std::string, uint64_t> capacities;  // in bytes, by the directory that is a disk
  FileSystemCounts counts;
  std::function<void(const std::string&)> on_wait;
  int64_t changes = 0;
  int64_t stop_at = -1;  // -1 = never

  bool stopped() const { return stop_at >= 0 && changes >= stop_at; }

  // The deepest disk that holds `path`; all of it without a limit.
  DiskSpace SpaceOf(const std::string& path) {
    DiskSpace space{.total_bytes = UINT64_MAX, .free_bytes = UINT64_MAX};
    size_t depth = 0;
    for (const auto& [disk, capacity] : capacities) {
      if (!path.starts_with(disk) || disk.size() < depth) continue;
      const NodePtr node = disk.empty() ? root : Find(disk);
      if (node == nullptr) continue;
      depth = disk.size();
      space = {.total_bytes = capacity, .free_bytes = capacity};
      space.free_bytes -= std::min(BytesBelow(*node), capacity);
    }
    return space;
  }

  Status Fault(FileOperation operation, const std::string& path) {
    if (stopped()) return Status::IoError("the process was stopped (" + path + ")");
    if (operation != FileOperation::kRead && operation != FileOperation::kList) ++changes;
    for (FileFault& fault : faults) {
      if (fault.operation != operation || fault.times == 0) continue;
      if (path.find(fault.path_part) == std::string::npos) continue;
      if (fault.skip > 0) {
        --fault.skip;
        continue;
      }
      if (fault.times > 0) --fault.times;
      return {fault.status.code(), fault.status.message() + " (" + path + ")"};
    }
    return Status::Ok();
  }

  NodePtr Find(const std::string& path) const {
    NodePtr at = root;
    for (const std::string& name : SplitPath(path)) {
      const auto entry = at->entries.find(name);
      if (entry == at->entries.end()) return nullptr;
      at = entry->second;
    }
    return at;
  }

  struct Place {
    NodePtr directory;
    std::string name;
  };

  // The directory that holds or would hold `path`.
  Result<Place> FindPlace(const std::string& path, const std::string& action) const {
    std::vector<std::string> parts = SplitPath(path);
    if (parts.empty()) return Status::IoError(action + " " + path + ": is the root");
    Place place{root, parts.back()};
    parts.pop_back();
    for (const std::string& name : parts) {
      const auto entry = place.directory->entries.find(name);
      if (entry == place.directory->entries.end()) {
        return Status::NotFound(action + " " + path + ": No such file or directory");
      }
      place.directory = entry->second;
      if (!place.directory->is_directory) {
        return Status::IoError(action + " " + path + ": Not a directory");
      }
    }
    return place;
  }

  void Change(TreeChange change) {
    for (const TreeChange::Entry& entry : change.entries) {
      if (entry.node == nullptr) {
        entry.directory->entries.erase(entry.name);
      } else {
        entry.directory->entries[entry.name] = entry.node;
      }
    }
    pending.push_back(std::move(change));
  }

  // Makes durable what touches `directory`, and whatever earlier change shares a directory with
  // those: changes of one directory reach the disk in order.
  void SyncChangesOf(const NodePtr& directory) {
    std::set<const Node*> directories{directory.get()};
    std::vector<bool> chosen(pending.size(), false);
    for (size_t i = pending.size(); i-- > 0;) {
      const auto& entries = pending[i].entries;
      chosen[i] = std::any_of(entries.begin(), entries.end(), [&](const TreeChange::Entry& entry) {
        return directories.count(entry.directory.get()) > 0;
      });
      if (!chosen[i]) continue;
      for (const TreeChange::Entry& entry : entries) directories.insert(entry.directory.get());
    }
    std::vector<TreeChange> left;
    for (size_t i = 0; i < pending.size(); ++i) {
      if (chosen[i]) {
        pending[i].Apply();
      } else {
        left.push_back(std::move(pending[i]));
      }
    }
    pending = std::move(left);
  }

  void SyncContentsBelow(Node& node) {
    if (!node.is_directory) node.SyncContent();
    for (const auto& [name, child] : node.entries) SyncContentsBelow(*child);
  }

  // Of each directory a prefix of the waiting changes survives.
  void LosePendingChanges(Random& random) {
    const uint64_t kept_of_four = random.Below(5);
    std::set<const Node*> cut;
    for (const TreeChange& change : pending) {
      bool lost = !random.Chance(kept_of_four, 4);
      for (const TreeChange::Entry& entry : change.entries) {
        lost = lost || cut.count(entry.directory.get()) > 0;
      }
      if (!lost) {
        change.Apply();
        continue;
      }
      for (const TreeChange::Entry& entry : change.entries) cut.insert(entry.directory.get());
    }
    pending.clear();
  }

  void RestartBelow(Node& node, Random& random) {
    if (!node.is_directory) {
      node.LoseUnsynced(random);
      return;
    }
    node.entries = node.synced_entries;
    for (const auto& [name, child] : node.entries) RestartBelow(*child, random);
  }

  void EndProcess() {
    ++generation;
    locks.clear();
    stop_at = -1;
  }
};

namespace {

class SimFile final : public File {
 public:
  SimFile(std::shared_ptr<SimFileSystem::State> state, NodePtr node, std::string path,
          bool writable)
      : state_(std::move(state)),
        node_(std::move(node)),
        path_(std::move(path)),
        writable_(writable),
        generation_(state_->generation) {}

  Result<size_t> ReadAt(uint64_t offset, char* out, size_t size) const override {
    std::lock_guard guard(state_->mutex);
    SLUICE_RETURN_IF_ERROR(Check(FileOperation::kRead));
    if (offset >= node_->content.size()) return size_t{0};
    if (const uint64_t pages = node_->Warm(offset, End(offset, size)); pages > 0) {
      ++state_->counts.waits;
      state_->counts.bytes_from_disk += pages * kPageBytes;
      if (state_->on_wait) state_->on_wait(path_);
    }
    return node_->content.copy(out, size, offset);
  }

  Result<size_t> ReadInMemory(uint64_t offset, char* out, size_t size) const override {
    if (AllThereInMemory(offset, size)) return ReadAt(offset, out, size);
    return Status::WouldWait(path_ + " is not in memory");
  }

  bool InMemory(uint64_t offset, uint64_t size) const override {
    std::lock_guard guard(state_->mutex);
    ++state_->counts.memory_asked;
    // Pages that the file has not got are not in memory.
    const bool beyond = Node::EndPage(offset + size) > Node::EndPage(node_->content.size());
    return size == 0 || (!beyond && node_->InMemory(offset, End(offset, size)));
  }

  bool MostlyInMemory(uint64_t offset, uint64_t size) const override {
    std::lock_guard guard(state_->mutex);
    ++state_->counts.memory_asked;
    const uint64_t pages = Node::EndPage(offset + size) - Node::FirstPage(offset);
    return 2 * node_->ColdPages(offset, offset + size) <= pages;
  }

  void WontRead(uint64_t offset, uint64_t size) const override {
    std::lock_guard guard(state_->mutex);
    node_->Cool(offset, offset + size);
  }

  Status WriteParts(uint64_t offset, std::span<const std::string_view> parts) override {
    std::lock_guard guard(state_->mutex);
    const bool stops_here = state_->stop_at == state_->changes;
    const Status allowed = CheckWritable(FileOperation::kWrite);
    if (stops_here && CheckAlive().ok() && !parts.empty()) {
      WriteHalf(offset, parts.front());
      state_->stop_at = 0;  // of a second write nothing is left
    }
    SLUICE_RETURN_IF_ERROR(allowed);
    uint64_t room = state_->SpaceOf(path_).free_bytes;
    // The size that this file may reach.
    if (room != UINT64_MAX) room += node_->content.size();
    for (const std::string_view part : parts) {
      const uint64_t fits = std::min<uint64_t>(part.size(), room - std::min(room, offset));
      if (fits > 0 && offset + fits > node_->content.size()) node_->Resize(offset + fits);
      node_->content.replace(std::min<uint64_t>(offset, node_->content.size()), fits,
                             part.substr(0, fits));
      node_->MarkDirty(offset, offset + fits);
      node_->Warm(offset, offset + fits);
      if (fits < part.size()) {
        return Status::DiskFull("cannot write " + path_ + ": No space left on device");
      }
      offset += part.size();
    }
    ++state_->counts.writes;
    return Status::Ok();
  }

  Status Truncate(uint64_t size) override {
    std::lock_guard guard(state_->mutex);
    SLUICE_RETURN_IF_ERROR(CheckWritable(FileOperation::kTruncate));
    node_->Resize(size);
    return Status::Ok();
  }

  Result<uint64_t> Size() const override {
    std::lock_guard guard(state_->mutex);
    SLUICE_RETURN_IF_ERROR(CheckAlive());
    return static_cast<uint64_t>(node_->content.size());
  }

  Status Sync() override {
    std::lock_guard guard(state_->mutex);
    // A process that is gone does nothing to the bytes.
    SLUICE_RETURN_IF_ERROR(CheckAlive());
    const bool stopped = state_->stopped();
    if (const Status status = state_->Fault(FileOperation::kSync, path_); !status.ok()) {
      if (stopped) return status;
      node_->dirty_low = node_->dirty_high = 0;
      return status;
    }
    node_->SyncContent();
    ++state_->counts.file_syncs;
    return Status::Ok();
  }

 private:
  // Of these bytes as many as the file has.
  bool AllThereInMemory(uint64_t offset, uint64_t size) const {
    std::lock_guard guard(state_->mutex);
    ++state_->counts.memory_asked;
    return node_->InMemory(offset, End(offset, size));
  }

  uint64_t End(uint64_t offset, uint64_t size) const {
    return std::min<uint64_t>(node_->content.size(), offset + size);
  }

  void WriteHalf(uint64_t offset, std::string_view part) {
    const std::string_view half = part.substr(0, part.size() / 2);
    if (offset + half.size() > node_->content.size()) node_->Resize(offset + half.size());
    node_->content.replace(offset, half.size(), half);
    node_->MarkDirty(offset, offset + half.size());
    node_->Warm(offset, offset + half.size());
  }

  Status CheckAlive() const {
    if (generation_ == state_->generation) return Status::Ok();
    return Status::IoError(path_ + " was opened before the crash");
  }

  Status Check(FileOperation operation) const {
    SLUICE_RETURN_IF_ERROR(CheckAlive());
    return state_->Fault(operation, path_);
  }

  Status CheckWritable(FileOperation operation) const {
    if (!writable_) return Status::IoError("cannot write " + path_ + ": Bad file descriptor");
    return Check(operation);
  }

  std::shared_ptr<SimFileSystem::State> state_;
  NodePtr node_;
  std::string path_;
  bool writable_;
  uint64_t generation_;
};

class SimFileLock final : public FileLock {
 public:
  SimFileLock(std::shared_ptr<SimFileSystem::State> state, std::string path)
      : state_(std::move(state)), path_(std::move(path)), generation_(state_->generation) {}
  ~SimFileLock() override {
    std::lock_guard guard(state_->mutex);
    if (generation_ == state_->generation) state_->locks.erase(path_);
  }

 private:
  std::shared_ptr<SimFileSystem::State> state_;
  std::string path_;
  uint64_t generation_;
};

}  // namespace

SimFileSystem::SimFileSystem() : state_(std::make_shared<State>()) {}
SimFileSystem::~SimFileSystem() = default;

Result<std::shared_ptr<File>> SimFileSystem::Open(const std::string& path, OpenMode mode) {
  std::lock_guard guard(state_->mutex);
  SLUICE_RETURN_IF_ERROR(state_->Fault(FileOperation::kOpen, path));
  SLUICE_ASSIGN_OR_RETURN(const State::Place place, state_->FindPlace(path, "cannot open"));
  const auto entry = place.directory->entries.find(place.name);
  NodePtr node;
  if (entry != place.directory->entries.end()) {
    node = entry->second;
    if (node->is_directory) return Status::IoError("cannot open " + path + ": Is a directory");
    if (mode == OpenMode::kCreateTruncate) node->Resize(0);
  } else {
    if (mode == OpenMode::kRead || mode == OpenMode::kReadWrite) {
      return Status::NotFound("cannot open " + path + ": No such file or directory");
    }
    node = std::make_shared<Node>();
    state_->Change({{{place.directory, place.name, node}}});
  }
  return std::shared_ptr<File>(
      std::make_shared<SimFile>(state_, std::move(node), path, mode != OpenMode::kRead));
}

Status SimFileSystem::CreateDirectories(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  SLUICE_RETURN_IF_ERROR(state_->Fault(FileOperation::kCreateDirectories, path));
  NodePtr at = state_->root;
  for (const std::string& name : SplitPath(path)) {
    if (at->entries.count(name) == 0) {
      state_->Change({{{at, name, std::make_shared<Node>(Node{.is_directory = true})}}});
    }
    at = at->entries.at(name);
    if (!at->is_directory) {
      return Status::IoError("cannot create directory " + path + ": Not a directory");
    }
  }
  return Status::Ok();
}

Result<std::vector<std::string>> SimFileSystem::List(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  SLUICE_RETURN_IF_ERROR(state_->Fault(FileOperation::kList, path));
  const NodePtr node = state_->Find(path);
  if (node == nullptr)
    return Status::NotFound("cannot list " + path + ": No such file or directory");
  if (!node->is_directory) return Status::IoError("cannot list " + path + ": Not a directory");
  std::vector<std::string> names;
  for (const auto& [name, child] : node->entries) names.push_back(name);
  return names;
}

bool SimFileSystem::Exists(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  return state_->Find(path) != nullptr;
}

bool SimFileSystem::IsDirectory(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  const NodePtr node = state_->Find(path);
  return node != nullptr && node->is_directory;
}

Status SimFileSystem::Rename(const std::string& from, const std::string& to) {
  std::lock_guard guard(state_->mutex);
  const std::string action = "cannot rename " + from + " to";
  SLUICE_RETURN_IF_ERROR(state_->Fault(FileOperation::kRename, from));
  SLUICE_ASSIGN_OR_RETURN(const State::Place source, state_->FindPlace(from, action));
  SLUICE_ASSIGN_OR_RETURN(const State::Place target, state_->FindPlace(to, action));
  const auto moved = source.directory->entries.find(source.name);
  if (moved == source.directory->entries.end()) {
    return Status::NotFound(action + " " + to + ": No such file or directory");
  }
  const NodePtr node = moved->second;
  const auto existing = target.directory->entries.find(target.name);
  if (existing != target.directory->entries.end()) {
    const Node& replaced = *existing->second;
    if (&replaced == node.get()) return Status::Ok();
    if (replaced.is_directory != node->is_directory) {
      return Status::IoError(action + " " + to + ": a directory and a file");
    }
    if (!replaced.entries.empty())
      return Status::IoError(action + " " + to + ": Directory not empty");
  }
  state_->Change(
      {{{source.directory, source.name, nullptr}, {target.directory, target.name, node}}});
  return Status::Ok();
}

Status SimFileSystem::Remove(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  SLUICE_RETURN_IF_ERROR(state_->Fault(FileOperation::kRemove, path));
  SLUICE_ASSIGN_OR_RETURN(const State::Place place, state_->FindPlace(path, "cannot remove"));
  const auto entry = place.directory->entries.find(place.name);
  if (entry == place.directory->entries.end()) {
    return Status::NotFound("cannot remove " + path + ": No such file or directory");
  }
  if (!entry->second->entries.empty()) {
    return Status::IoError("cannot remove " + path + ": Directory not empty");
  }
  state_->Change({{{place.directory, place.name, nullptr}}});
  return Status::Ok();
}

Status SimFileSystem::RemoveAll(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  SLUICE_RETURN_IF_ERROR(state_->Fault(FileOperation::kRemove, path));
  const NodePtr node = state_->Find(path);
  if (node == nullptr) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(const State::Place place, state_->FindPlace(path, "cannot remove"));
  // Child by child, as the real one: a crash may leave the directory with some of its files.
  const auto remove = [this](const auto& self, const NodePtr& directory,
                             const std::string& name) -> void {
    const NodePtr child = directory->entries.at(name);
    while (!child->entries.empty()) self(self, child, child->entries.begin()->first);
    state_->Change({{{directory, name, nullptr}}});
  };
  remove(remove, place.directory, place.name);
  return Status::Ok();
}

Status SimFileSystem::SyncDirectory(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  SLUICE_RETURN_IF_ERROR(state_->Fault(FileOperation::kSyncDirectory, path));
  const NodePtr node = state_->Find(path);
  if (node == nullptr)
    return Status::NotFound("cannot open directory " + path + ": No such file or directory");
  if (!node->is_directory)
    return Status::IoError("cannot open directory " + path + ": Not a directory");
  state_->SyncChangesOf(node);
  ++state_->counts.directory_syncs;
  return Status::Ok();
}

Status SimFileSystem::SyncFileSystem(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  SLUICE_RETURN_IF_ERROR(state_->Fault(FileOperation::kSyncFileSystem, path));
  if (state_->Find(path) == nullptr)
    return Status::NotFound("cannot open " + path + ": No such file or directory");
  for (const TreeChange& change : state_->pending) change.Apply();
  state_->pending.clear();
  state_->SyncContentsBelow(*state_->root);
  ++state_->counts.file_system_syncs;
  return Status::Ok();
}

Result<std::unique_ptr<FileLock>> SimFileSystem::Lock(const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<File> file, Open(path, OpenMode::kCreate));
  std::lock_guard guard(state_->mutex);
  SLUICE_RETURN_IF_ERROR(state_->Fault(FileOperation::kLock, path));
  if (!state_->locks.insert(path).second) {
    return Status::Unavailable("locked by another process: " + path);
  }
  return std::unique_ptr<FileLock>(std::make_unique<SimFileLock>(state_, path));
}

Result<DiskSpace> SimFileSystem::Space(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  if (state_->Find(path) == nullptr) {
    return Status::NotFound("cannot read the space of " + path + ": No such file or directory");
  }
  constexpr uint64_t kUnlimited = uint64_t{1} << 40;
  const DiskSpace space = state_->SpaceOf(path);
  if (space.total_bytes != UINT64_MAX) return space;
  const uint64_t used = BytesBelow(*state_->root);
  return DiskSpace{.total_bytes = kUnlimited,
                   .free_bytes = kUnlimited - std::min(used, kUnlimited)};
}

void SimFileSystem::Crash(Random& random) {
  std::lock_guard guard(state_->mutex);
  state_->EndProcess();
  state_->LosePendingChanges(random);
  state_->RestartBelow(*state_->root, random);
}

void SimFileSystem::KillProcess() {
  std::lock_guard guard(state_->mutex);
  state_->EndProcess();
}

void SimFileSystem::StopAfter(int64_t changes) {
  std::lock_guard guard(state_->mutex);
  state_->stop_at = changes < 0 ? -1 : state_->changes + changes;
}

bool SimFileSystem::stopped() const {
  std::lock_guard guard(state_->mutex);
  return state_->stopped();
}

int64_t SimFileSystem::changes() const {
  std::lock_guard guard(state_->mutex);
  return state_->changes;
}

void SimFileSystem::InjectFault(FileFault fault) {
  std::lock_guard guard(state_->mutex);
  state_->faults.push_back(std::move(fault));
}

void SimFileSystem::ClearFaults() {
  std::lock_guard guard(state_->mutex);
  state_->faults.clear();
}

bool SimFileSystem::faults_left() const {
  std::lock_guard lock(state_->mutex);
  return std::any_of(state_->faults.begin(), state_->faults.end(),
                     [](const FileFault& fault) { return fault.times != 0; });
}

void SimFileSystem::set_capacity_bytes(uint64_t capacity, const std::string& below) {
  std::lock_guard guard(state_->mutex);
  state_->capacities[below] = capacity;
}

void SimFileSystem::FlipBit(const std::string& path, uint64_t offset, int bit) {
  std::lock_guard guard(state_->mutex);
  const NodePtr node = state_->Find(path);
  CHECK(node != nullptr) << path;
  CHECK_LT(offset, node->content.size()) << path;
  node->content[offset] = static_cast<char>(node->content[offset] ^ (1 << bit));
  if (offset < node->synced.size()) node->synced[offset] = node->content[offset];
}

bool SimFileSystem::Durable(const std::string& path, uint64_t offset, uint64_t size) const {
  std::lock_guard guard(state_->mutex);
  NodePtr at = state_->root;
  for (const std::string& name : SplitPath(path)) {
    const auto entry = at->synced_entries.find(name);
    if (entry == at->synced_entries.end()) return false;
    at = entry->second;
  }
  return offset + size <= at->synced.size() && offset + size <= at->content.size() &&
         at->synced.compare(offset, size, at->content, offset, size) == 0;
}

void SimFileSystem::DropCaches(const std::string& path_part) {
  std::lock_guard guard(state_->mutex);
  const auto drop = [&](const auto& self, Node& node, const std::string& path) -> void {
    if (!node.is_directory && path.find(path_part) != std::string::npos)
      node.Cool(0, node.content.size());
    for (const auto& [name, child] : node.entries) self(self, *child, path + "/" + name);
  };
  drop(drop, *state_->root, "");
}

uint64_t SimFileSystem::BytesInMemory(const std::string& path) const {
  std::lock_guard guard(state_->mutex);
  const NodePtr node = state_->Find(path);
  CHECK(node != nullptr) << path;
  return (Node::EndPage(node->content.size()) - node->cold.size()) * kPageBytes;
}

void SimFileSystem::set_on_wait(std::function<void(const std::string&)> on_wait) {
  std::lock_guard guard(state_->mutex);
  state_->on_wait = std::move(on_wait);
}

FileSystemCounts SimFileSystem::counts() const {
  std::lock_guard guard(state_->mutex);
  return state_->counts;
}

}  // namespace sluice::testing
