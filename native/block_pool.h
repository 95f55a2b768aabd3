// Memory for large messages, used again.
//
// malloc hands out blocks of this size as fresh pages each time, and the kernel clears every page on its first touch:
// that takes several times as long as copying the message does. Blocks go out as external ArrayBuffers and come back
// when the garbage collector is done with them.
#ifndef PILLION_BLOCK_POOL_H_
#define PILLION_BLOCK_POOL_H_

#include <napi.h>

#include <cstddef>
#include <mutex>
#include <vector>

namespace pillion {

// One for the process, because an ArrayBuffer may end its life in another thread than the one that asked for it.
class BlockPool {
 public:
  static BlockPool& Instance();

  // A block of at least `bytes`, with whatever content, or null.
  void* Take(size_t bytes);
  void Give(void* block, size_t bytes);
  // Gives everything that is not in use back to the kernel, and what comes back later as well, until the next Take.
  void Trim();

  // JavaScript: allocateBlock(bytes), an ArrayBuffer of that length, or undefined; trimBlocks().
  static Napi::Value AllocateBlock(const Napi::CallbackInfo& info);
  static void TrimBlocks(const Napi::CallbackInfo& info);

 private:
  static constexpr int kSmallestBits = 15;
  static constexpr int kLargestBits = 30;
  // As much as V8 lets pile up before it collects, and then some.
  static constexpr size_t kMostHeldBytes = size_t{128} << 20;

  static int ClassOf(size_t bytes);

  std::mutex mutex_;
  std::vector<void*> free_[kLargestBits + 1];
  size_t held_bytes_ = 0;
  bool is_trimmed_ = false;
};

}  // namespace pillion

#endif  // PILLION_BLOCK_POOL_H_
