// The shared memory of one connection: create and seal it, or check and map what the peer created.
#ifndef PILLION_SEGMENT_H_
#define PILLION_SEGMENT_H_

#include <napi.h>

#include <memory>

#include "shared_memory.h"

namespace pillion {

// What page 0 says, copied once into private memory.
struct Description {
  uint32_t magic, version, segment_bytes, header_bytes, offset0, capacity0, offset1, capacity1, arena_offset,
      arena_bytes;
};
static_assert(sizeof(Description) == 40, "the description is ten words");

// JavaScript: Segment.create(capacity0, capacity1, arenaBytes), Segment.map(fd, maxRingBytes, maxArenaBytes); .buffer,
// .arena, .descriptor, .headerBytes, .capacities, closeRings(), close(). `map` takes ownership of the descriptor, also
// when it throws.
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
  static Napi::Value Adopt(Napi::Env env, int fd, const Description& layout, bool keep_descriptor);

  Napi::Value Buffer(const Napi::CallbackInfo& info);
  Napi::Value Arena(const Napi::CallbackInfo& info);
  Napi::Value Descriptor(const Napi::CallbackInfo& info);
  void CloseRings(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<Mapping> mapping_;
  std::shared_ptr<Mapping> arena_mapping_;  // null without an arena
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  Napi::Reference<Napi::ArrayBuffer> arena_;
  int fd_ = -1;
};

}  // namespace pillion

#endif  // PILLION_SEGMENT_H_
