// The waiting policy of one event loop: what is ready is delivered, then a bounded spin, then park.
//
//                    something ready / doorbell / unpark()
//        +--------------------------------------------------------+
//        v                                                        |
//      hot --- nothing ready, spin missed --- events lately? -- dozing (looks by itself every linger_ms)
//        |                                                        |
//        +------------------- no events ---> parked <-------------+  quiet for 100 ms
//
// Lives in a prepare hook, i.e. right before the loop would block. One per environment.
#ifndef PILLION_LOOP_HUB_H_
#define PILLION_LOOP_HUB_H_

#include <napi.h>
#include <uv.h>

#include <vector>

#include "cpu_place.h"
#include "spin_predictor.h"

namespace pillion {

class LoopWatch;
class UnixSocket;

class LoopHub {
 public:
  // Null if the environment has no loop.
  static LoopHub* Create(Napi::Env env);

  uv_loop_t* loop() const { return loop_; }
  void Configure(SpinPredictor::Mode mode, uint64_t spin_limit_ns, uint64_t linger_ms);
  // [0] counts turns of the loop, so that TypeScript can bound what it does within one turn.
  Napi::Value TurnCounter(Napi::Env env);

  void AddSocket(UnixSocket* socket) { sockets_.push_back(socket); }
  void RemoveSocket(UnixSocket* socket);
  void AddWatch(LoopWatch* watch);
  void RemoveWatch(LoopWatch* watch);
  // The watch has something to do or expects it: look at it before the loop blocks next time.
  void MakeHot(LoopWatch* watch);

  // Spins until `watch` is ready (true), or the limit is over or, if `yields`, another watch is ready (false).
  bool SpinFor(LoopWatch* watch, uint64_t limit_ns, bool yields);
  // The same with the limit that recent waits suggest, and not beyond the end of the loop's turn.
  bool SpinAdaptively(LoopWatch* watch);
  // For a caller that blocks its thread for `watch` alone, at most `most_ns`.
  bool SpinBlocking(LoopWatch* watch, uint64_t most_ns);
  uint64_t spin_limit_ns() const { return predictor_.ConfiguredLimitNs(); }
  void NoteArrival(bool while_spinning);
  // Of what was not waited for by the loop.
  void NoteArrivalAt(LoopWatch* watch, uint64_t waited_ns, bool while_spinning);

  // Calls into JavaScript from the loop, with ticks and microtasks behind it. False once the environment cannot run
  // JavaScript any more.
  bool Call(napi_value function, int argument);
  void CloseHandle(uv_handle_t* handle, uv_close_cb free_handle);

 private:
  explicit LoopHub(Napi::Env env, uv_loop_t* loop);
  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle handle, void* data);
  void End();
  void DeleteWhenClosed();

  void OnPrepare();
  void OnLingerTimer();
  void KeepLoopAwake();
  bool DeliverReady();
  bool SpinForAny();
  bool ParkAll();
  bool IsAnyReady() const;
  bool IsAnyExpecting() const;
  bool IsAnyEager() const;
  bool IsSpinInVain(LoopWatch* watch);
  bool IsEveryPeerHere();
  uint64_t BeginSpin();
  SpinPredictor::Peer Peer() const;
  void StartIdleWait();
  void SetPlace(LoopWatch* watch, int place);

  napi_env env_;
  uv_loop_t* loop_;
  napi_async_context async_context_ = nullptr;
  napi_async_cleanup_hook_handle cleanup_hook_ = nullptr;
  napi_ref turn_counter_ = nullptr;
  uint32_t* turns_ = nullptr;

  uv_prepare_t* prepare_ = nullptr;
  uv_idle_t* idle_ = nullptr;  // active while there is work left: keeps the loop from blocking
  uv_timer_t* linger_timer_ = nullptr;

  std::vector<LoopWatch*> watches_;
  std::vector<LoopWatch*> hot_;
  std::vector<LoopWatch*> dozing_;
  std::vector<UnixSocket*> sockets_;

  SpinPredictor predictor_;
  CpuPlace place_;
  uint64_t linger_ms_ = 1;
  uint64_t idle_since_ns_ = 0;     // since when this side waits for something expected; 0 = it does not
  uint64_t turn_deadline_ns_ = 0;  // when the current turn has to go back to the loop
  int open_handles_ = 0;
  bool ended_ = false;
};

}  // namespace pillion

#endif  // PILLION_LOOP_HUB_H_
