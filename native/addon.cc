// Module entry: the classes, a lock file and a few switches. One AddonState per environment, so worker threads are
// independent.
#include "addon.h"

#include <fcntl.h>
#include <napi.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "block_pool.h"
#include "counter_memory.h"
#include "error.h"
#include "loop_hub.h"
#include "loop_watch.h"
#include "segment.h"
#include "unix_socket.h"

namespace pillion {

namespace {

// configureWaiting(mode, spinLimitNs, lingerMs), see SpinPredictor::Mode.
void ConfigureWaiting(const Napi::CallbackInfo& info) {
  const auto mode = static_cast<SpinPredictor::Mode>(info[0].As<Napi::Number>().Int32Value());
  AddonState::Of(info.Env())
      ->hub->Configure(mode, info[1].As<Napi::Number>().Uint32Value(), info[2].As<Napi::Number>().Uint32Value());
}

// lockFile(path): a descriptor that holds the lock as long as it (or a copy of it anywhere) is open, or -errno;
// -EAGAIN: taken.
Napi::Value LockFile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Napi::Number::New(env, -errno);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
    AddonState::Of(env)->descriptors.insert(fd);
    return Napi::Number::New(env, fd);
  }
  const int code = errno;
  close(fd);
  return Napi::Number::New(env, -code);
}

void CloseDescriptor(const Napi::CallbackInfo& info) {
  const int fd = info[0].As<Napi::Number>().Int32Value();
  if (AddonState::Of(info.Env())->descriptors.erase(fd) > 0) close(fd);
}

}  // namespace

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  LoopHub* hub = LoopHub::Create(env);
  if (hub == nullptr) {
    Napi::Error::New(env, "this environment has no event loop").ThrowAsJavaScriptException();
    return exports;
  }
  auto* state = new AddonState();
  env.SetInstanceData(state);
  state->hub = hub;
  Napi::Function segment = Segment::Define(env), socket = UnixSocket::Define(env);
  Napi::Function counter_memory = CounterMemory::Define(env);
  state->segment_class = Napi::Persistent(segment);
  state->socket_class = Napi::Persistent(socket);
  state->counter_memory_class = Napi::Persistent(counter_memory);
  exports.Set("Segment", segment);
  exports.Set("UnixSocket", socket);
  exports.Set("CounterMemory", counter_memory);
  exports.Set("LoopWatch", LoopWatch::Define(env));
  exports.Set("turn", hub->TurnCounter(env));
  exports.Set("configureWaiting", Napi::Function::New(env, ConfigureWaiting));
  exports.Set("allocateBlock", Napi::Function::New(env, BlockPool::AllocateBlock));
  exports.Set("trimBlocks", Napi::Function::New(env, BlockPool::TrimBlocks));
  exports.Set("lockFile", Napi::Function::New(env, LockFile));
  exports.Set("closeDescriptor", Napi::Function::New(env, CloseDescriptor));
  return exports;
}

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)

}  // namespace pillion
