// The shared memory of one client's counters: the app writes, sidecars read. docs/protocol.md section 9 says what lies
// in it; only TypeScript looks inside.
#ifndef PILLION_COUNTER_MEMORY_H_
#define PILLION_COUNTER_MEMORY_H_

#include <napi.h>

#include <memory>

#include "shared_memory.h"

namespace pillion {

// JavaScript: CounterMemory.create(bytes), CounterMemory.map(fd, bytes); .buffer, .descriptor, close(). The buffer of a
// mapped one is read-only: a store to it ends the process. `map` takes ownership of the descriptor, also when it
// throws.
class CounterMemory : public Napi::ObjectWrap<CounterMemory> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit CounterMemory(const Napi::CallbackInfo& info);
  ~CounterMemory() override;

 private:
  static Napi::Value Create(const Napi::CallbackInfo& info);
  static Napi::Value MapDescriptor(const Napi::CallbackInfo& info);
  static Napi::Value Adopt(Napi::Env env, int fd, const std::shared_ptr<Mapping>& mapping, bool keep_descriptor);

  Napi::Value Buffer(const Napi::CallbackInfo& info);
  Napi::Value Descriptor(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<Mapping> mapping_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  int fd_ = -1;
};

}  // namespace pillion

#endif  // PILLION_COUNTER_MEMORY_H_
