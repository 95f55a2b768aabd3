#include "loop_hub.h"

#include <unistd.h>

#include <algorithm>

#include "addon.h"
#include "loop_watch.h"
#include "unix_socket.h"

namespace pillion {

namespace {

// One turn delivers for at most this long before timers and other descriptors get their chance. A turn costs some 2 us.
constexpr uint64_t kTurnNs = 200000;
// A watch that stayed silent for so long while others were busy is parked alone, so that a server looks only at active
// clients.
constexpr uint64_t kSilentNs = 200000;
constexpr int kLooksPerClockRead = 32;

inline void CpuRelax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void Forget(std::vector<LoopWatch*>* list, LoopWatch* watch) {
  auto found = std::find(list->begin(), list->end(), watch);
  if (found == list->end()) return;
  *found = list->back();
  list->pop_back();
}

template <typename Handle>
void DeleteHandle(uv_handle_t* closed) {
  delete reinterpret_cast<Handle*>(closed);
}

}  // namespace

LoopHub* LoopHub::Create(Napi::Env env) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || loop == nullptr) return nullptr;
  return new LoopHub(env, loop);
}

LoopHub::LoopHub(Napi::Env env, uv_loop_t* loop) : env_(env), loop_(loop) {
  napi_async_init(env, nullptr, Napi::String::New(env, "pillion"), &async_context_);
  napi_add_async_cleanup_hook(env, &LoopHub::OnEnvironmentEnd, this, &cleanup_hook_);

  void* words = nullptr;
  napi_value buffer, array;
  napi_create_arraybuffer(env, 16, &words, &buffer);
  napi_create_typedarray(env, napi_int32_array, 4, buffer, 0, &array);
  napi_create_reference(env, array, 1, &turn_counter_);
  turns_ = static_cast<uint32_t*>(words);

  prepare_ = new uv_prepare_t;
  idle_ = new uv_idle_t;
  linger_timer_ = new uv_timer_t;
  uv_prepare_init(loop, prepare_);
  uv_idle_init(loop, idle_);
  uv_timer_init(loop, linger_timer_);
  // None of them keeps the process alive: only sockets do, and they can be unreferenced.
  for (void* handle : {static_cast<void*>(prepare_), static_cast<void*>(idle_), static_cast<void*>(linger_timer_)}) {
    static_cast<uv_handle_t*>(handle)->data = this;
    uv_unref(static_cast<uv_handle_t*>(handle));
  }
}

void LoopHub::Configure(SpinPredictor::Mode mode, uint64_t spin_limit_ns, uint64_t linger_ms) {
  predictor_.Configure(mode, spin_limit_ns);
  linger_ms_ = linger_ms;
}

Napi::Value LoopHub::TurnCounter(Napi::Env env) {
  napi_value array;
  napi_get_reference_value(env, turn_counter_, &array);
  return Napi::Value(env, array);
}

// --- membership -------------------------------------------------------------------------------------------------

void LoopHub::AddWatch(LoopWatch* watch) {
  if (watches_.empty()) {
    uv_prepare_start(prepare_, [](uv_prepare_t* handle) { static_cast<LoopHub*>(handle->data)->OnPrepare(); });
  }
  watches_.push_back(watch);
  MakeHot(watch);
}

void LoopHub::RemoveWatch(LoopWatch* watch) {
  if (ended_) return;
  Forget(&watches_, watch);
  Forget(&hot_, watch);
  Forget(&dozing_, watch);
  watch->place = LoopWatch::Place::kNone;
  if (dozing_.empty()) uv_timer_stop(linger_timer_);
  if (!watches_.empty()) return;
  uv_prepare_stop(prepare_);
  uv_idle_stop(idle_);
}

void LoopHub::MakeHot(LoopWatch* watch) {
  if (ended_ || watch->place == LoopWatch::Place::kHot) return;
  if (watch->place == LoopWatch::Place::kDozing) {
    Forget(&dozing_, watch);
    if (dozing_.empty()) uv_timer_stop(linger_timer_);
  }
  watch->place = LoopWatch::Place::kHot;
  watch->active_ns = uv_hrtime();
  hot_.push_back(watch);
}

void LoopHub::RemoveSocket(UnixSocket* socket) {
  auto found = std::find(sockets_.begin(), sockets_.end(), socket);
  if (found != sockets_.end()) sockets_.erase(found);
}

// --- the turn ---------------------------------------------------------------------------------------------------

void LoopHub::OnPrepare() {
  turns_[0]++;
  turns_[1] = 0;
  uv_idle_stop(idle_);
  if (hot_.empty()) return;
  Napi::HandleScope scope(env_);
  const uint32_t cpu = CpuPlace::Current();
  for (LoopWatch* watch : hot_) watch->PublishCpu(cpu);
  turn_deadline_ns_ = uv_hrtime() + kTurnNs;
  for (;;) {
    if (DeliverReady()) {
      if (ended_ || hot_.empty()) return;
      if (turns_[1] == 0 && uv_hrtime() < turn_deadline_ns_) continue;
      KeepLoopAwake();
      return;
    }
    if (ended_) return;
    // Something else is due, or nothing keeps the loop alive: no spin, no park, come back in the next turn. Zero may
    // also mean that a new descriptor is yet to be registered, and then the loop would block all the same.
    if (uv_backend_timeout(loop_) == 0) {
      KeepLoopAwake();
      return;
    }
    StartIdleWait();
    if (SpinForAny()) continue;
    if (ParkAll()) return;
  }
}

// The next poll does not block. Unreferenced, so it keeps no process alive.
void LoopHub::KeepLoopAwake() {
  uv_idle_start(idle_, [](uv_idle_t*) {});
}

// One pass over the hot watches. True if anything was delivered.
bool LoopHub::DeliverReady() {
  bool delivered = false;
  for (size_t i = 0; i < hot_.size() && !ended_; i++) {
    LoopWatch* watch = hot_[i];
    if (watch->IsReady()) {
      delivered = true;
      NoteArrival(false);
      if (hot_.size() > 1) watch->active_ns = uv_hrtime();
      watch->Deliver(kReady);
    } else if (delivered && hot_.size() > 1) {
      const uint64_t now = uv_hrtime();
      if (now - watch->active_ns > kSilentNs && watch->Park(kAsleep)) {
        watch->place = LoopWatch::Place::kParked;
        Forget(&hot_, watch);
        i--;
      }
    }
  }
  return delivered;
}

bool LoopHub::IsAnyReady() const {
  for (const LoopWatch* watch : hot_) {
    if (watch->IsReady()) return true;
  }
  return false;
}

bool LoopHub::IsAnyExpecting() const {
  for (const LoopWatch* watch : hot_) {
    if (watch->IsExpecting()) return true;
  }
  return false;
}

bool LoopHub::IsAnyEager() const {
  for (const LoopWatch* watch : hot_) {
    if (watch->IsEager()) return true;
  }
  return false;
}

// Is the peer on this very CPU? Then a spin would only keep it from answering, unless this thread can leave.
bool LoopHub::IsSpinInVain(LoopWatch* watch) {
  const uint32_t cpu = CpuPlace::Current();
  watch->PublishCpu(cpu);
  if (!watch->IsPeerOn(cpu)) return false;
  if (!watch->MayMove() || !place_.TryLeave(cpu, uv_hrtime())) return true;
  watch->PublishCpu(CpuPlace::Current());
  return false;
}

// The same for all watches from which something is expected.
bool LoopHub::IsEveryPeerHere() {
  for (LoopWatch* watch : hot_) {
    if (watch->IsExpecting() && !IsSpinInVain(watch)) return false;
  }
  return true;
}

// Of the peers from which something is expected, the one that promises most.
SpinPredictor::Peer LoopHub::Peer() const {
  auto best = SpinPredictor::Peer::kUnknown;
  for (const LoopWatch* watch : hot_) {
    if (!watch->IsExpecting()) continue;
    const auto peer = watch->Peer();
    if (peer == SpinPredictor::Peer::kAwake) return peer;
    if (peer == SpinPredictor::Peer::kWoken) best = peer;
  }
  return best;
}

// How long to spin now: what the past suggests, or as long as allowed in the middle of a message.
uint64_t LoopHub::BeginSpin() {
  const uint64_t limit = predictor_.BeginSpin(Peer());
  return limit == 0 && IsAnyEager() ? predictor_.ConfiguredLimitNs() : limit;
}

void LoopHub::StartIdleWait() {
  if (!IsAnyExpecting()) {
    idle_since_ns_ = 0;
  } else if (idle_since_ns_ == 0) {
    idle_since_ns_ = uv_hrtime();
  }
}

void LoopHub::NoteArrival(bool while_spinning) {
  if (idle_since_ns_ == 0) return;
  predictor_.OnArrival(uv_hrtime() - idle_since_ns_, while_spinning);
  idle_since_ns_ = 0;
}

void LoopHub::NoteArrivalAt(LoopWatch* watch, uint64_t waited_ns, bool while_spinning) {
  watch->NoteArrival();
  predictor_.OnArrival(waited_ns, while_spinning);
}

bool LoopHub::SpinForAny() {
  if (idle_since_ns_ == 0) return false;
  const uint64_t limit = BeginSpin();
  if (limit == 0) return false;
  if (IsEveryPeerHere()) return false;
  const uint64_t deadline = uv_hrtime() + limit;
  do {
    for (int look = 0; look < kLooksPerClockRead; look++) {
      if (IsAnyReady()) {
        NoteArrival(true);
        return true;
      }
      CpuRelax();
    }
    if (IsEveryPeerHere()) return false;
  } while (uv_hrtime() < deadline);
  predictor_.OnMiss(limit);
  return false;
}

bool LoopHub::SpinAdaptively(LoopWatch* watch) {
  const uint64_t now = uv_hrtime();
  if (now >= turn_deadline_ns_) return false;
  const uint64_t limit = BeginSpin();
  if (limit == 0) return false;
  // A miss here is not counted: the prepare hook goes on with the same wait and judges it.
  if (idle_since_ns_ == 0) idle_since_ns_ = now;
  if (!SpinFor(watch, std::min(limit, turn_deadline_ns_ - now), true)) return false;
  idle_since_ns_ = 0;
  NoteArrivalAt(watch, 0, true);
  return true;
}

bool LoopHub::SpinBlocking(LoopWatch* watch, uint64_t most_ns) {
  const uint64_t start = uv_hrtime();
  const uint64_t limit = std::max(predictor_.BeginSpin(watch->Peer()), predictor_.ConfiguredLimitNs());
  if (!SpinFor(watch, std::min(limit, most_ns), false)) return false;
  NoteArrivalAt(watch, uv_hrtime() - start, true);
  return true;
}

bool LoopHub::SpinFor(LoopWatch* watch, uint64_t limit_ns, bool yields) {
  uint64_t deadline = 0;
  for (;;) {
    for (int look = 0; look < kLooksPerClockRead; look++) {
      if (watch->IsReady()) return true;
      CpuRelax();
    }
    if (yields && hot_.size() > 1 && IsAnyReady()) return false;
    if (IsSpinInVain(watch)) return false;
    const uint64_t now = uv_hrtime();
    if (deadline == 0) deadline = now + limit_ns;
    if (now >= deadline) return false;
  }
}

// The loop is about to block. False: something came while we announced it, so nobody may sleep yet.
bool LoopHub::ParkAll() {
  const uint64_t now = uv_hrtime();
  bool all_parked = true;
  for (size_t i = 0; i < hot_.size();) {
    LoopWatch* watch = hot_[i];
    watch->UnrefIfUnneeded();
    const bool dozy = linger_ms_ > 0 && watch->IsDozy(now);
    if (!watch->Park(dozy ? kDozing : kAsleep)) {
      all_parked = false;
      i++;
      continue;
    }
    hot_[i] = hot_.back();
    hot_.pop_back();
    watch->place = dozy ? LoopWatch::Place::kDozing : LoopWatch::Place::kParked;
    if (dozy) dozing_.push_back(watch);
  }
  if (!dozing_.empty() && !uv_is_active(reinterpret_cast<uv_handle_t*>(linger_timer_))) {
    uv_update_time(loop_);
    uv_timer_start(
        linger_timer_, [](uv_timer_t* timer) { static_cast<LoopHub*>(timer->data)->OnLingerTimer(); }, linger_ms_,
        linger_ms_);
  }
  return all_parked;
}

void LoopHub::OnLingerTimer() {
  const uint64_t now = uv_hrtime();
  for (size_t i = 0; i < dozing_.size();) {
    LoopWatch* watch = dozing_[i];
    if (watch->IsReady()) {
      watch->Unpark();  // leaves dozing_; the prepare hook of this very turn delivers
    } else if (!watch->IsDozy(now) && watch->Park(kAsleep)) {
      watch->place = LoopWatch::Place::kParked;
      Forget(&dozing_, watch);
    } else {
      i++;
    }
  }
  if (dozing_.empty()) uv_timer_stop(linger_timer_);
}

// --- JavaScript -------------------------------------------------------------------------------------------------

bool LoopHub::Call(napi_value function, int argument) {
  if (ended_) return false;
  if (turn_deadline_ns_ == 0) turn_deadline_ns_ = uv_hrtime() + kTurnNs;
  napi_value receiver, value, result;
  napi_get_global(env_, &receiver);
  napi_create_int32(env_, argument, &value);
  napi_status status = napi_make_callback(env_, async_context_, receiver, function, 1, &value, &result);
  if (status == napi_pending_exception) {
    napi_value error;
    if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
  }
  return status == napi_ok;
}

// --- end --------------------------------------------------------------------------------------------------------

void LoopHub::CloseHandle(uv_handle_t* handle, uv_close_cb free_handle) {
  // The close callback finds both the hub and the way to free the handle through its data.
  struct Closing {
    LoopHub* hub;
    uv_close_cb free_handle;
  };
  open_handles_++;
  handle->data = new Closing{this, free_handle};
  uv_close(handle, [](uv_handle_t* closed) {
    auto* closing = static_cast<Closing*>(closed->data);
    LoopHub* hub = closing->hub;
    closing->free_handle(closed);
    delete closing;
    hub->open_handles_--;
    hub->DeleteWhenClosed();
  });
}

void LoopHub::OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) { static_cast<LoopHub*>(data)->End(); }

void LoopHub::End() {
  ended_ = true;
  AddonState* state = AddonState::Of(env_);
  for (int descriptor : state->descriptors) close(descriptor);
  state->descriptors.clear();
  for (LoopWatch* watch : std::vector<LoopWatch*>(watches_)) watch->OnEnvironmentEnd();
  for (UnixSocket* socket : std::vector<UnixSocket*>(sockets_)) socket->OnEnvironmentEnd();
  watches_.clear();
  hot_.clear();
  dozing_.clear();
  sockets_.clear();
  CloseHandle(reinterpret_cast<uv_handle_t*>(prepare_), DeleteHandle<uv_prepare_t>);
  CloseHandle(reinterpret_cast<uv_handle_t*>(idle_), DeleteHandle<uv_idle_t>);
  CloseHandle(reinterpret_cast<uv_handle_t*>(linger_timer_), DeleteHandle<uv_timer_t>);
}

// The environment waits for the cleanup hook, so that no handle of ours is left when its loop is closed.
void LoopHub::DeleteWhenClosed() {
  if (!ended_ || open_handles_ > 0) return;
  napi_remove_async_cleanup_hook(cleanup_hook_);
  delete this;
}

}  // namespace pillion
