#include "segment.h"

#include <unistd.h>

#include <cerrno>
#include <string>

#include "addon.h"
#include "error.h"

namespace pillion {

namespace {

bool IsRingCapacity(uint32_t capacity) {
  return capacity >= kMinRingBytes && capacity <= kMaxRingBytes && (capacity & (capacity - 1)) == 0;
}

Description Layout(uint32_t header_bytes, uint32_t capacity0, uint32_t capacity1, uint32_t arena_bytes) {
  const uint32_t offset1 = header_bytes + capacity0, end = offset1 + capacity1;
  return {kSegmentMagic, kLayoutVersion, end + arena_bytes,         header_bytes, header_bytes, capacity0,
          offset1,       capacity1,      arena_bytes > 0 ? end : 0, arena_bytes};
}

void WriteDescription(uint8_t* base, const Description& layout) {
  auto word = [base](uint32_t offset) { return reinterpret_cast<uint32_t*>(base + offset); };
  *word(kMagicOffset) = layout.magic;
  *word(kVersionOffset) = layout.version;
  *word(kSegmentBytesOffset) = layout.segment_bytes;
  *word(kHeaderBytesOffset) = layout.header_bytes;
  *word(kRingTableOffset) = layout.offset0;
  *word(kRingTableOffset + 4) = layout.capacity0;
  *word(kRingTableOffset + 8) = layout.offset1;
  *word(kRingTableOffset + 12) = layout.capacity1;
  *word(kArenaOffset) = layout.arena_offset;
  *word(kArenaOffset + 4) = layout.arena_bytes;
}

// Everything that must hold before a peer's descriptor may be mapped. Returns what is wrong, or null.
const char* CheckDescriptor(int fd, uint32_t max_ring_bytes, uint32_t max_arena_bytes, Description* out) {
  struct stat info;
  int seals;
  const char* fault = CheckMemory(fd, &info, &seals);
  if (fault != nullptr) return fault;
  if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) return "the memfd is sealed against writing";
  if (pread(fd, out, sizeof(*out), 0) != static_cast<ssize_t>(sizeof(*out))) return "page 0 cannot be read";
  if (out->magic != kSegmentMagic) return "page 0 has a wrong magic number";
  if (out->version != kLayoutVersion) return "page 0 has an unknown layout version";
  const uint32_t page = static_cast<uint32_t>(sysconf(_SC_PAGESIZE));
  if (out->header_bytes < kMinHeaderBytes || out->header_bytes > (1u << 20) || out->header_bytes % page != 0)
    return "the header is not page-aligned";
  if (!IsRingCapacity(out->capacity0) || !IsRingCapacity(out->capacity1) || out->capacity0 % page != 0 ||
      out->capacity1 % page != 0)
    return "a ring capacity is not a power of two of at least one page";
  if (out->capacity0 > max_ring_bytes || out->capacity1 > max_ring_bytes) return "a ring is larger than maxRingBytes";
  if (out->offset0 != out->header_bytes || out->offset1 != out->header_bytes + out->capacity0)
    return "a ring does not lie where it must";
  if (out->arena_bytes > max_arena_bytes) return "the arena is larger than maxArenaBytes";
  if (out->arena_bytes % page != 0) return "the arena is not a multiple of the page size";
  const uint64_t rings_end = uint64_t{out->header_bytes} + out->capacity0 + out->capacity1;
  if (out->arena_offset != (out->arena_bytes > 0 ? rings_end : 0)) return "the arena does not lie where it must";
  const uint64_t bytes = rings_end + out->arena_bytes;
  if (bytes != out->segment_bytes || static_cast<uint64_t>(info.st_size) != bytes) return "the size is wrong";
  if (!IsEveryPageAllocated(info, bytes)) return "not every page is allocated";
  return nullptr;
}

}  // namespace

Napi::Function Segment::Define(Napi::Env env) {
  return DefineClass(
      env, "Segment",
      {StaticMethod("create", &Segment::Create), StaticMethod("map", &Segment::MapDescriptor),
       InstanceAccessor("buffer", &Segment::Buffer, nullptr), InstanceAccessor("arena", &Segment::Arena, nullptr),
       InstanceAccessor("descriptor", &Segment::Descriptor, nullptr),
       InstanceMethod("closeRings", &Segment::CloseRings), InstanceMethod("close", &Segment::Close)});
}

// Null in a worker that is being terminated: from then on every call of Node-API fails.
Segment* Segment::From(Napi::Value value) { return value.IsEmpty() ? nullptr : Unwrap(value.As<Napi::Object>()); }

Segment::Segment(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Segment>(info) {}

Segment::~Segment() {
  // Without close() the ArrayBuffer may outlive this object: its finalizer holds the mapping.
  if (fd_ >= 0) close(fd_);
}

Napi::Value Segment::Create(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const uint32_t capacity0 = info[0].As<Napi::Number>().Uint32Value();
  const uint32_t capacity1 = info[1].As<Napi::Number>().Uint32Value();
  const uint32_t arena_bytes = info[2].IsNumber() ? info[2].As<Napi::Number>().Uint32Value() : 0;
  const uint32_t page = static_cast<uint32_t>(sysconf(_SC_PAGESIZE));
  const uint32_t header_bytes = page > kMinHeaderBytes ? page : kMinHeaderBytes;
  if (!IsRingCapacity(capacity0) || !IsRingCapacity(capacity1) || capacity0 % page || capacity1 % page ||
      arena_bytes > kMaxArenaBytes || arena_bytes % page)
    return ThrowErrno(env, "mmap", EINVAL);
  const char* failed_call = nullptr;
  const Description layout = Layout(header_bytes, capacity0, capacity1, arena_bytes);
  int fd = CreateMemory("pillion", layout.segment_bytes, &failed_call);
  if (fd < 0) return ThrowErrno(env, failed_call, errno);
  if (!AddSeals(fd, kSizeSeals, &failed_call)) {
    const int code = errno;
    close(fd);
    return ThrowErrno(env, failed_call, code);
  }
  return Adopt(env, fd, layout, true);
}

Napi::Value Segment::MapDescriptor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = info[0].As<Napi::Number>().Int32Value();
  AddonState::Of(env)->descriptors.erase(fd);
  Description page0;
  const uint32_t max_arena_bytes = info[2].IsNumber() ? info[2].As<Napi::Number>().Uint32Value() : 0;
  const char* fault = CheckDescriptor(fd, info[1].As<Napi::Number>().Uint32Value(), max_arena_bytes, &page0);
  if (fault != nullptr) {
    close(fd);
    Napi::Error::New(env, fault).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Adopt(env, fd, page0, false);
}

// Maps `fd` and wraps it in a Segment. The descriptor stays open only for the creator, who has to pass it on.
Napi::Value Segment::Adopt(Napi::Env env, int fd, const Description& layout, bool keep_descriptor) {
  const char* failed_call = nullptr;
  std::shared_ptr<Mapping> arena,
      mapping = Mapping::MapSegment(fd, layout.header_bytes, layout.capacity0, layout.capacity1, &failed_call);
  if (mapping != nullptr && layout.arena_bytes > 0) {
    arena = Mapping::MapArena(fd, layout.arena_offset, layout.arena_bytes, &failed_call);
  }
  if (mapping == nullptr || (layout.arena_bytes > 0 && arena == nullptr)) {
    const int code = errno;
    close(fd);
    return ThrowErrno(env, failed_call, code);
  }
  if (keep_descriptor) WriteDescription(mapping->base(), layout);

  napi_value buffer = ExposeMapping(env, mapping);
  napi_value arena_buffer = arena == nullptr ? nullptr : ExposeMapping(env, arena);
  if (buffer == nullptr || (arena != nullptr && arena_buffer == nullptr)) {
    close(fd);
    return ThrowErrno(env, "napi_create_external_arraybuffer", ENOTSUP);
  }
  Napi::Object object = AddonState::Of(env)->segment_class.New({});
  Segment* segment = From(object);
  if (segment == nullptr) {
    close(fd);
    return env.Undefined();
  }
  segment->mapping_ = std::move(mapping);
  segment->arena_mapping_ = std::move(arena);
  segment->buffer_ = Napi::Persistent(Napi::ArrayBuffer(env, buffer));
  if (arena_buffer != nullptr) segment->arena_ = Napi::Persistent(Napi::ArrayBuffer(env, arena_buffer));
  if (keep_descriptor) {
    segment->fd_ = fd;
  } else {
    close(fd);
  }
  object.Set("headerBytes", Napi::Number::New(env, layout.header_bytes));
  Napi::Array capacities = Napi::Array::New(env, 2);
  capacities.Set(0u, Napi::Number::New(env, layout.capacity0));
  capacities.Set(1u, Napi::Number::New(env, layout.capacity1));
  object.Set("capacities", capacities);
  return object;
}

Napi::Value Segment::Buffer(const Napi::CallbackInfo& info) {
  return buffer_.IsEmpty() ? info.Env().Undefined() : buffer_.Value();
}

Napi::Value Segment::Arena(const Napi::CallbackInfo& info) {
  return arena_.IsEmpty() ? info.Env().Undefined() : arena_.Value();
}

Napi::Value Segment::Descriptor(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), fd_); }

// Detach first, unmap second: a view kept by a user then has length 0 in place of a dangling pointer.
void Segment::CloseRings(const Napi::CallbackInfo&) {
  if (fd_ >= 0) {
    close(fd_);
    fd_ = -1;
  }
  if (buffer_.IsEmpty()) return;
  buffer_.Value().Detach();
  buffer_.Reset();
  mapping_->Unmap();
}

void Segment::Close(const Napi::CallbackInfo& info) {
  CloseRings(info);
  if (arena_.IsEmpty()) return;
  arena_.Value().Detach();
  arena_.Reset();
  // The addresses go when nobody has this object any more: whoever has a view of the arena has it, too.
  arena_mapping_->Vacate();
}

}  // namespace pillion
