// What belongs to one environment (the main thread or one worker): classes and the loop hub. No statics hold JavaScript
// state.
#ifndef PILLION_ADDON_H_
#define PILLION_ADDON_H_

#include <napi.h>

#include <set>

namespace pillion {

class LoopHub;

struct AddonState {
  Napi::FunctionReference segment_class;
  Napi::FunctionReference socket_class;
  Napi::FunctionReference counter_memory_class;
  LoopHub* hub = nullptr;  // owned by itself; ends in the environment's cleanup hook
  // Descriptors that TypeScript holds as numbers. The hub closes what is left when the environment ends, or the lock
  // of a server in a worker would outlive the worker.
  std::set<int> descriptors;

  static AddonState* Of(Napi::Env env) { return env.GetInstanceData<AddonState>(); }
};

}  // namespace pillion

#endif  // PILLION_ADDON_H_
