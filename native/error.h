// The one way to tell TypeScript about a failed system call: an Error with `syscall` and a negative `errno`,
// which src/native.ts turns into a coded error. Hot paths return -errno as a number instead.
#ifndef PILLION_ERROR_H_
#define PILLION_ERROR_H_

#include <napi.h>

#include <cstring>
#include <string>

namespace pillion {

inline Napi::Value ThrowErrno(Napi::Env env, const char* syscall, int code) {
  Napi::Error error = Napi::Error::New(env, std::string(syscall) + ": " + std::strerror(code));
  error.Set("syscall", Napi::String::New(env, syscall));
  error.Set("errno", Napi::Number::New(env, -code));
  error.ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace pillion

#endif  // PILLION_ERROR_H_
