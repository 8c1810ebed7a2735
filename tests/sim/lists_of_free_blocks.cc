// operator new and delete of the simulation programs: a core allocates some small blocks a step,
// and in one thread a list of free blocks for each size serves them in a few nanoseconds. Blocks
// are taken from the heap many at a time and never given back.
//
// Not with a sanitizer: those watch the heap, and want to see each block come and go.
//
// Thread rule: programs of one thread only.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t kHeader = 16;  // the block's size class, and the alignment of what follows it
constexpr std::size_t kStep = 32;
constexpr std::size_t kClasses = 64;  // larger blocks are the heap's own
constexpr std::size_t kChunkBytes = 256 << 10;

struct Block {
  std::size_t size_class;  // kClasses: the heap's
  Block* next;             // while it is free
};

Block* free_blocks[kClasses];

// Cuts a new chunk into blocks of one class.
void Refill(std::size_t size_class) {
  const std::size_t bytes = (size_class + 1) * kStep + kHeader;
  auto* chunk = static_cast<std::byte*>(std::malloc(kChunkBytes));
  if (chunk == nullptr) std::abort();
  for (std::size_t at = 0; at + bytes <= kChunkBytes; at += bytes) {
    auto* block = reinterpret_cast<Block*>(chunk + at);
    block->size_class = size_class;
    block->next = free_blocks[size_class];
    free_blocks[size_class] = block;
  }
}

}  // namespace

void* operator new(std::size_t size) {
  const std::size_t size_class = size == 0 ? 0 : (size - 1) / kStep;
  if (size_class >= kClasses) {
    auto* block = static_cast<Block*>(std::malloc(size + kHeader));
    if (block == nullptr) std::abort();
    block->size_class = kClasses;
    return reinterpret_cast<std::byte*>(block) + kHeader;
  }
  if (free_blocks[size_class] == nullptr) Refill(size_class);
  Block* const block = free_blocks[size_class];
  free_blocks[size_class] = block->next;
  return reinterpret_cast<std::byte*>(block) + kHeader;
}

void operator delete(void* memory) noexcept {
  if (memory == nullptr) return;
  auto* block = reinterpret_cast<Block*>(static_cast<std::byte*>(memory) - kHeader);
  if (block->size_class == kClasses) return std::free(block);
  block->next = free_blocks[block->size_class];
  free_blocks[block->size_class] = block;
}

void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }

#endif
