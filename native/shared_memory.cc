#include "shared_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace pillion {

int CreateMemory(const char* name, size_t bytes, const char** failed_call) {
  *failed_call = "memfd_create";
  // Linux 6.3 wants to be told whether the file may be executed; older kernels reject the flag.
#ifdef MFD_NOEXEC_SEAL
  constexpr unsigned kNoExecSeal = MFD_NOEXEC_SEAL;
#else
  constexpr unsigned kNoExecSeal = 0x0008u;
#endif
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoExecSeal);
  if (fd < 0 && errno == EINVAL) fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -1;
  auto fail = [fd](int code) {
    close(fd);
    errno = code;
    return -1;
  };
  *failed_call = "ftruncate";
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) return fail(errno);
  // fallocate is what turns "no memory" into an error here rather than a SIGBUS in traffic.
  *failed_call = "fallocate";
  int result;
  do {
    result = fallocate(fd, 0, 0, static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  return result == 0 ? fd : fail(errno);
}

bool AddSeals(int fd, int seals, const char** failed_call) {
  *failed_call = "fcntl(F_ADD_SEALS)";
  return fcntl(fd, F_ADD_SEALS, seals) == 0;
}

const char* CheckMemory(int fd, struct stat* info, int* seals) {
  if (fstat(fd, info) != 0 || !S_ISREG(info->st_mode)) return "the descriptor is not a regular file";
  *seals = fcntl(fd, F_GET_SEALS);
  if (*seals < 0) return "the descriptor is not a memfd";
  if ((*seals & kSizeSeals) != kSizeSeals)
    return "the memfd is not sealed against shrinking, growing and further seals";
  return nullptr;
}

bool IsEveryPageAllocated(const struct stat& info, uint64_t bytes) {
  return static_cast<uint64_t>(info.st_blocks) * 512 >= bytes;
}

std::shared_ptr<Mapping> Mapping::MapSegment(int fd, size_t header_bytes, size_t capacity0, size_t capacity1,
                                             const char** failed_call) {
  *failed_call = "mmap";
  const size_t length = header_bytes + 2 * capacity0 + 2 * capacity1;
  void* reserved = mmap(nullptr, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return nullptr;
  std::shared_ptr<Mapping> mapping(new Mapping(reserved, length));

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
  void* base =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, static_cast<off_t>(file_offset));
  if (base == MAP_FAILED) return nullptr;
  return std::shared_ptr<Mapping>(new Mapping(base, bytes));
}

std::shared_ptr<Mapping> Mapping::MapFile(int fd, size_t bytes, int protection, const char** failed_call) {
  *failed_call = "mmap";
  void* base = mmap(nullptr, bytes, protection, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (base == MAP_FAILED) return nullptr;
  return std::shared_ptr<Mapping>(new Mapping(base, bytes));
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

napi_value ExposeMapping(Napi::Env env, const std::shared_ptr<Mapping>& mapping) {
  // The raw call, because Napi::ArrayBuffer::New has no way to say "external buffers are forbidden here".
  auto* keeper = new std::shared_ptr<Mapping>(mapping);
  napi_value buffer;
  napi_status status = napi_create_external_arraybuffer(
      env, mapping->base(), mapping->length(),
      [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<Mapping>*>(hint); }, keeper, &buffer);
  if (status == napi_ok) return buffer;
  delete keeper;
  return nullptr;
}

}  // namespace pillion
