#include "block_pool.h"

#include <sys/mman.h>

#include <cstdint>

namespace pillion {

namespace {

void* Map(size_t bytes) {
  void* block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  // No MADV_HUGEPAGE: the kernel would compact memory on the first touch, which takes longer than all that it saves.
  return block == MAP_FAILED ? nullptr : block;
}

}  // namespace

BlockPool& BlockPool::Instance() {
  // Never destroyed: finalizers may run when static objects are gone.
  static auto* pool = new BlockPool();
  return *pool;
}

int BlockPool::ClassOf(size_t bytes) {
  int bits = kSmallestBits;
  while (bits <= kLargestBits && (size_t{1} << bits) < bytes) bits++;
  return bits;
}

void* BlockPool::Take(size_t bytes) {
  const int bits = ClassOf(bytes);
  if (bits > kLargestBits) return nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    is_trimmed_ = false;
    if (!free_[bits].empty()) {
      void* block = free_[bits].back();
      free_[bits].pop_back();
      held_bytes_ -= size_t{1} << bits;
      return block;
    }
  }
  return Map(size_t{1} << bits);
}

void BlockPool::Give(void* block, size_t bytes) {
  const int bits = ClassOf(bytes);
  const size_t length = size_t{1} << bits;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!is_trimmed_ && held_bytes_ + length <= kMostHeldBytes) {
      held_bytes_ += length;
      free_[bits].push_back(block);
      return;
    }
  }
  munmap(block, length);
}

void BlockPool::Trim() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (int bits = kSmallestBits; bits <= kLargestBits; bits++) {
    for (void* block : free_[bits]) munmap(block, size_t{1} << bits);
    free_[bits].clear();
  }
  held_bytes_ = 0;
  is_trimmed_ = true;
}

Napi::Value BlockPool::AllocateBlock(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const size_t bytes = static_cast<size_t>(info[0].As<Napi::Number>().Int64Value());
  void* block = Instance().Take(bytes);
  if (block == nullptr) return env.Undefined();
  napi_value buffer;
  // The raw call, because Electron forbids external buffers: then the caller takes ordinary memory.
  napi_status status = napi_create_external_arraybuffer(
      env, block, bytes,
      [](napi_env, void* data, void* hint) { Instance().Give(data, reinterpret_cast<uintptr_t>(hint)); },
      reinterpret_cast<void*>(static_cast<uintptr_t>(bytes)), &buffer);
  if (status == napi_ok) return Napi::Value(env, buffer);
  Instance().Give(block, bytes);
  return env.Undefined();
}

void BlockPool::TrimBlocks(const Napi::CallbackInfo&) { Instance().Trim(); }

}  // namespace pillion
