// The shared memory of one connection: create and seal it, or check and map what the peer created.
#ifndef PILLION_SEGMENT_H_
#define PILLION_SEGMENT_H_

#include <napi.h>

#include <memory>

#include "shared_memory.h"

namespace pillion {

// JavaScript: Segment.create(capacity0, capacity1), Segment.map(fd, maxRingBytes); .buffer, .descriptor,
// .headerBytes, .capacities, close(). `map` takes ownership of the descriptor, also when it throws.
class Segment : public Napi::ObjectWrap<Segment> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Segment* From(Napi::Value value);
  explicit Segment(const Napi::CallbackInfo& info);
  ~Segment() override;

  const std::shared_ptr<Mapping>& mapping() const { return mapping_; }

 private:
  static Napi::Value Create(const Napi::CallbackInfo& info);
  static Napi::Value MapDescriptor(const Napi::CallbackInfo& info);
  static Napi::Value Adopt(Napi::Env env, int fd, uint32_t header_bytes, uint32_t capacity0, uint32_t capacity1,
                           bool keep_descriptor);

  Napi::Value Buffer(const Napi::CallbackInfo& info);
  Napi::Value Descriptor(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<Mapping> mapping_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  int fd_ = -1;
};

}  // namespace pillion

#endif  // PILLION_SEGMENT_H_
