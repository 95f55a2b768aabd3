// Memory that two processes share: a memfd made or checked, mapped, and shown to JavaScript as an ArrayBuffer. What
// lies in it is the business of the classes that own one.
#ifndef PILLION_SHARED_MEMORY_H_
#define PILLION_SHARED_MEMORY_H_

#include <fcntl.h>
#include <napi.h>
#include <sys/stat.h>

#include <memory>

#include "layout.h"

namespace pillion {

// The size of the file is final. Without these a peer could shrink it and kill us by SIGBUS.
constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// A memfd of the given size with every page allocated, or -1 with *failed_call and errno set. Not sealed yet.
int CreateMemory(const char* name, size_t bytes, const char** failed_call);

// False with *failed_call and errno set.
bool AddSeals(int fd, int seals, const char** failed_call);

// What must hold for any descriptor of a peer's: a memfd with all of kSizeSeals. Returns what is wrong, or null.
const char* CheckMemory(int fd, struct stat* info, int* seals);

bool IsEveryPageAllocated(const struct stat& info, uint64_t bytes);

// One mapping. Shared by the object that owns it, its ArrayBuffer and the watches on it; the memory goes when Unmap is
// called or the last of them is gone, whichever comes first.
class Mapping {
 public:
  ~Mapping() { Unmap(); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  // A segment: page 0, each ring twice in a row. Returns null and sets *failed_call and errno.
  static std::shared_ptr<Mapping> MapSegment(int fd, size_t header_bytes, size_t capacity0, size_t capacity1,
                                             const char** failed_call);
  // The arena of a segment, once. Likewise.
  static std::shared_ptr<Mapping> MapArena(int fd, size_t file_offset, size_t bytes, const char** failed_call);
  // A whole file once. Likewise.
  static std::shared_ptr<Mapping> MapFile(int fd, size_t bytes, int protection, const char** failed_call);
  void Unmap();
  // The shared memory goes, the addresses stay: another thread may still be at work on a view of a claim.
  void Vacate();

  bool is_mapped() const { return base_ != nullptr; }
  uint8_t* base() const { return base_; }
  size_t length() const { return length_; }
  SharedWord* word(int ring, uint32_t offset) const {
    return reinterpret_cast<SharedWord*>(base_ + ControlWord(ring, offset));
  }

 private:
  Mapping(void* base, size_t length) : base_(static_cast<uint8_t*>(base)), length_(length) {}
  uint8_t* base_;
  size_t length_;
};

// The mapping as an ArrayBuffer, which keeps it. Null where external buffers are forbidden (Electron). Once per
// mapping: two buffers over the same memory abort some versions of V8.
napi_value ExposeMapping(Napi::Env env, const std::shared_ptr<Mapping>& mapping);

}  // namespace pillion

#endif  // PILLION_SHARED_MEMORY_H_
