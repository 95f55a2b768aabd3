#include "counter_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "addon.h"
#include "error.h"

namespace pillion {

namespace {

// Everything that must hold before a peer's descriptor may be mapped. Returns what is wrong, or null.
const char* CheckDescriptor(int fd, uint32_t bytes) {
  struct stat info;
  int seals;
  const char* fault = CheckMemory(fd, &info, &seals);
  if (fault != nullptr) return fault;
  // Not for the client's sake: whoever may write may also punch holes, and reading a hole can be a SIGBUS.
  if ((seals & F_SEAL_FUTURE_WRITE) == 0) return "the memfd is not sealed against further writers";
  if (static_cast<uint64_t>(info.st_size) != bytes) return "the size is not the one announced";
  if (!IsEveryPageAllocated(info, bytes)) return "not every page is allocated";
  return nullptr;
}

}  // namespace

Napi::Function CounterMemory::Define(Napi::Env env) {
  return DefineClass(
      env, "CounterMemory",
      {StaticMethod("create", &CounterMemory::Create), StaticMethod("map", &CounterMemory::MapDescriptor),
       InstanceAccessor("buffer", &CounterMemory::Buffer, nullptr),
       InstanceAccessor("descriptor", &CounterMemory::Descriptor, nullptr),
       InstanceMethod("close", &CounterMemory::Close)});
}

CounterMemory::CounterMemory(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CounterMemory>(info) {}

CounterMemory::~CounterMemory() {
  // Without close() the ArrayBuffer may outlive this object: its finalizer holds the mapping.
  if (fd_ >= 0) close(fd_);
}

Napi::Value CounterMemory::Create(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const uint32_t bytes = info[0].As<Napi::Number>().Uint32Value();
  const char* failed_call = nullptr;
  int fd = CreateMemory("pillion-counters", bytes, &failed_call);
  if (fd < 0) return ThrowErrno(env, failed_call, errno);
  std::shared_ptr<Mapping> mapping = Mapping::MapFile(fd, bytes, PROT_READ | PROT_WRITE, &failed_call);
  // In this order: the seal spares mappings that exist. From here on nobody else can get one for writing.
  if (mapping == nullptr || !AddSeals(fd, kSizeSeals | F_SEAL_FUTURE_WRITE, &failed_call)) {
    const int code = errno;
    close(fd);
    return ThrowErrno(env, failed_call, code);
  }
  return Adopt(env, fd, mapping, true);
}

Napi::Value CounterMemory::MapDescriptor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = info[0].As<Napi::Number>().Int32Value();
  const uint32_t bytes = info[1].As<Napi::Number>().Uint32Value();
  AddonState::Of(env)->descriptors.erase(fd);
  const char* fault = CheckDescriptor(fd, bytes);
  if (fault != nullptr) {
    close(fd);
    Napi::Error::New(env, fault).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const char* failed_call = nullptr;
  std::shared_ptr<Mapping> mapping = Mapping::MapFile(fd, bytes, PROT_READ, &failed_call);
  if (mapping == nullptr) {
    const int code = errno;
    close(fd);
    return ThrowErrno(env, failed_call, code);
  }
  return Adopt(env, fd, mapping, false);
}

// Wraps a mapping. The descriptor stays open only for the creator, who has to pass it on.
Napi::Value CounterMemory::Adopt(Napi::Env env, int fd, const std::shared_ptr<Mapping>& mapping, bool keep_descriptor) {
  napi_value buffer = ExposeMapping(env, mapping);
  if (buffer == nullptr) {
    close(fd);
    return ThrowErrno(env, "napi_create_external_arraybuffer", ENOTSUP);
  }
  Napi::Object object = AddonState::Of(env)->counter_memory_class.New({});
  // Null in a worker that is being terminated: from then on every call of Node-API fails.
  CounterMemory* memory = object.IsEmpty() ? nullptr : Unwrap(object);
  if (memory == nullptr) {
    close(fd);
    return env.Undefined();
  }
  memory->mapping_ = mapping;
  memory->buffer_ = Napi::Persistent(Napi::ArrayBuffer(env, buffer));
  if (keep_descriptor) {
    memory->fd_ = fd;
  } else {
    close(fd);
  }
  return object;
}

Napi::Value CounterMemory::Buffer(const Napi::CallbackInfo& info) {
  return buffer_.IsEmpty() ? info.Env().Undefined() : buffer_.Value();
}

Napi::Value CounterMemory::Descriptor(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), fd_); }

// Detach first, unmap second: a view that was kept then has length 0 in place of a dangling pointer.
void CounterMemory::Close(const Napi::CallbackInfo&) {
  if (fd_ >= 0) {
    close(fd_);
    fd_ = -1;
  }
  if (buffer_.IsEmpty()) return;
  buffer_.Value().Detach();
  buffer_.Reset();
  mapping_->Unmap();
}

}  // namespace pillion
