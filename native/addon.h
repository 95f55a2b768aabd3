// What belongs to one environment (the main thread or one worker): classes and the loop hub. No statics hold JavaScript
// state.
#ifndef PILLION_ADDON_H_
#define PILLION_ADDON_H_

#include <napi.h>

namespace pillion {

class LoopHub;

struct AddonState {
  Napi::FunctionReference segment_class;
  Napi::FunctionReference socket_class;
  LoopHub* hub = nullptr;  // owned by itself; ends in the environment's cleanup hook

  static AddonState* Of(Napi::Env env) { return env.GetInstanceData<AddonState>(); }
};

}  // namespace pillion

#endif  // PILLION_ADDON_H_
