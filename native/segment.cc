#include "segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "addon.h"
#include "error.h"

namespace pillion {

namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

bool IsRingCapacity(uint32_t capacity) {
  return capacity >= kMinRingBytes && capacity <= kMaxRingBytes && (capacity & (capacity - 1)) == 0;
}

// A sealed memfd of the given size with every page allocated, or -1 with *failed_call and errno set.
// fallocate is what turns "no memory" into an error here rather than a SIGBUS in traffic.
int CreateSealedMemory(size_t bytes, const char** failed_call) {
  *failed_call = "memfd_create";
  // Linux 6.3 wants to be told whether the file may be executed; older kernels reject the flag.
#ifdef MFD_NOEXEC_SEAL
  int fd = memfd_create("pillion", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("pillion", MFD_CLOEXEC | MFD_ALLOW_SEALING);
#else
  constexpr unsigned kNoExecSeal = 0x0008u;
  int fd = memfd_create("pillion", MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoExecSeal);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("pillion", MFD_CLOEXEC | MFD_ALLOW_SEALING);
#endif
  if (fd < 0) return -1;
  auto fail = [fd](int code) {
    close(fd);
    errno = code;
    return -1;
  };
  *failed_call = "ftruncate";
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) return fail(errno);
  *failed_call = "fallocate";
  int result;
  do {
    result = fallocate(fd, 0, 0, static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result != 0) return fail(errno);
  *failed_call = "fcntl(F_ADD_SEALS)";
  if (fcntl(fd, F_ADD_SEALS, kSeals) != 0) return fail(errno);
  return fd;
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
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return "the descriptor is not a regular file";
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) return "the descriptor is not a memfd";
  if ((seals & kSeals) != kSeals) return "the memfd is not sealed against shrinking, growing and further seals";
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
  if (static_cast<uint64_t>(info.st_blocks) * 512 < bytes) return "not every page is allocated";
  return nullptr;
}

}  // namespace

std::shared_ptr<Mapping> Mapping::Map(int fd, size_t header_bytes, size_t capacity0, size_t capacity1,
                                      const char** failed_call) {
  *failed_call = "mmap";
  const size_t length = header_bytes + 2 * capacity0 + 2 * capacity1;
  void* reserved = mmap(nullptr, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return nullptr;
  std::shared_ptr<Mapping> mapping(new Mapping());
  mapping->base_ = static_cast<uint8_t*>(reserved);
  mapping->length_ = length;

  uint8_t* at = mapping->base_;
  auto place = [fd, &at](size_t file_offset, size_t bytes) {
    // MAP_POPULATE: page faults belong to connect, not to the first message.
    void* placed = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd,
                        static_cast<off_t>(file_offset));
    at += bytes;
    return placed != MAP_FAILED;
  };
  const size_t ring0 = header_bytes, ring1 = header_bytes + capacity0;
  const bool placed = place(0, header_bytes) && place(ring0, capacity0) && place(ring0, capacity0) &&
                      place(ring1, capacity1) && place(ring1, capacity1);
  if (placed) return mapping;
  const int code = errno;
  mapping.reset();
  errno = code;
  return nullptr;
}

std::shared_ptr<Mapping> Mapping::MapArena(int fd, size_t file_offset, size_t bytes, const char** failed_call) {
  *failed_call = "mmap";
  void* placed =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, static_cast<off_t>(file_offset));
  if (placed == MAP_FAILED) return nullptr;
  std::shared_ptr<Mapping> mapping(new Mapping());
  mapping->base_ = static_cast<uint8_t*>(placed);
  mapping->length_ = bytes;
  return mapping;
}

void Mapping::Unmap() {
  if (base_ == nullptr) return;
  munmap(base_, length_);
  base_ = nullptr;
}

void Mapping::Vacate() {
  if (base_ == nullptr) return;
  // If it fails the shared pages stay until the object goes, which harms nobody but the memory.
  (void)mmap(base_, length_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

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
  int fd = CreateSealedMemory(layout.segment_bytes, &failed_call);
  if (fd < 0) return ThrowErrno(env, failed_call, errno);
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

namespace {

// The raw call, because Napi::ArrayBuffer::New has no way to say "external buffers are forbidden here" (Electron).
// False then.
bool WrapMapping(Napi::Env env, const std::shared_ptr<Mapping>& mapping, Napi::Reference<Napi::ArrayBuffer>* out) {
  auto* keeper = new std::shared_ptr<Mapping>(mapping);
  napi_value buffer;
  napi_status status = napi_create_external_arraybuffer(
      env, mapping->base(), mapping->length(),
      [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<Mapping>*>(hint); }, keeper, &buffer);
  if (status != napi_ok) {
    delete keeper;
    return false;
  }
  *out = Napi::Persistent(Napi::ArrayBuffer(env, buffer));
  return true;
}

}  // namespace

// Maps `fd` and wraps it in a Segment. The descriptor stays open only for the creator, who has to pass it on.
Napi::Value Segment::Adopt(Napi::Env env, int fd, const Description& layout, bool keep_descriptor) {
  const char* failed_call = nullptr;
  std::shared_ptr<Mapping> arena,
      mapping = Mapping::Map(fd, layout.header_bytes, layout.capacity0, layout.capacity1, &failed_call);
  if (mapping != nullptr && layout.arena_bytes > 0) {
    arena = Mapping::MapArena(fd, layout.arena_offset, layout.arena_bytes, &failed_call);
  }
  if (mapping == nullptr || (layout.arena_bytes > 0 && arena == nullptr)) {
    const int code = errno;
    close(fd);
    return ThrowErrno(env, failed_call, code);
  }
  if (keep_descriptor) WriteDescription(mapping->base(), layout);

  Napi::Reference<Napi::ArrayBuffer> buffer, arena_buffer;
  if (!WrapMapping(env, mapping, &buffer) || (arena != nullptr && !WrapMapping(env, arena, &arena_buffer))) {
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
  segment->buffer_ = std::move(buffer);
  segment->arena_ = std::move(arena_buffer);
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
