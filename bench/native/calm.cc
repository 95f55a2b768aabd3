// How the machine does right now, in some twenty milliseconds: whether the host has moved the CPUs apart, and whether
// somebody else uses the cores that they are on.
//
//   calm
//
// Two processes, one on each of the first two CPUs that may be used. Prints one line of JSON, medians in nanoseconds:
//
//   line      round trip of a cache line between the two
//   wake      round trip of one byte between the two, which sleep
//   syscall   the cheapest system call, on either CPU
//   memcpy    copying 1 MiB, on either CPU

#include <sys/socket.h>
#include <sys/syscall.h>

#include "common.h"

namespace {

constexpr uint32_t kCpus = 2;
constexpr uint32_t kCopied = 1024 * 1024;
constexpr uint32_t kBatch = 64;
constexpr uint64_t kMs = 1'000'000;
constexpr Options kLife{1, 0, 0, 100 * kMs, 1};

struct Shared {
  alignas(128) std::atomic<uint64_t> ping{0};
  alignas(128) std::atomic<uint64_t> pong{0};
  alignas(128) std::atomic<uint32_t> finished{0};
  alignas(128) std::atomic<uint32_t> arrived{0};
  uint64_t syscall_ns[kCpus];
  uint64_t memcpy_ns[kCpus];
};

template <typename Operation>
uint64_t MedianNs(uint64_t duration_ns, uint32_t batch, Operation operation) {
  std::vector<uint64_t> taken;
  const uint64_t end = NowNs() + duration_ns;
  for (uint64_t begun = NowNs(); begun < end || taken.empty();) {
    for (uint32_t i = 0; i < batch; i++) operation();
    const uint64_t now = NowNs();
    taken.push_back((now - begun) / batch);
    begun = now;
  }
  std::nth_element(taken.begin(), taken.begin() + taken.size() / 2, taken.end());
  return taken[taken.size() / 2];
}

// What a CPU does for itself, on both at the same time.
void MeasureCpu(uint32_t cpu, Shared* shared) {
  std::vector<unsigned char> source(kCopied, 1), target(kCopied, 2);
  shared->arrived.fetch_add(1, std::memory_order_acq_rel);
  SpinUntil(shared->finished, [&] { return shared->arrived.load(std::memory_order_acquire) == kCpus; });
  shared->syscall_ns[cpu] = MedianNs(2 * kMs, kBatch, [] { syscall(SYS_getppid); });
  shared->memcpy_ns[cpu] = MedianNs(3 * kMs, 1, [&] {
    source[0]++;
    std::memcpy(target.data(), source.data(), kCopied);
    const volatile unsigned char* seen = target.data();
    (void)seen[kCopied - 1];
  });
}

int Answer(Shared* shared, int socket) {
  PinToCpu(1);
  MeasureCpu(1, shared);
  for (uint64_t next = 1;
       SpinUntil(shared->finished, [&] { return shared->ping.load(std::memory_order_acquire) == next; }); next++) {
    shared->pong.store(next, std::memory_order_release);
  }
  unsigned char byte;
  while (read(socket, &byte, 1) == 1) {
    if (write(socket, &byte, 1) != 1) return 1;
  }
  return 0;
}

}  // namespace

int main() {
  LimitLife(kLife);
  Shared* shared = new (MapShared(sizeof(Shared))) Shared;
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) Fail("socketpair");
  const pid_t child = Fork(kLife, [&] {
    close(sockets[0]);
    return Answer(shared, sockets[1]);
  });
  close(sockets[1]);
  PinToCpu(0);
  MeasureCpu(0, shared);
  uint64_t sequence = 0;
  const uint64_t line_ns = MedianNs(5 * kMs, 16, [&] {
    shared->ping.store(++sequence, std::memory_order_release);
    SpinUntil(shared->finished, [&] { return shared->pong.load(std::memory_order_acquire) == sequence; });
  });
  shared->finished.store(1, std::memory_order_release);
  bool is_intact = true;
  const uint64_t wake_ns = MedianNs(10 * kMs, 1, [&] {
    unsigned char byte = 1;
    is_intact = is_intact && write(sockets[0], &byte, 1) == 1 && read(sockets[0], &byte, 1) == 1;
  });
  close(sockets[0]);
  if (!EndedWell(child) || !is_intact) {
    std::fprintf(stderr, "the second process ended early\n");
    return 1;
  }
  const auto slower = [](const uint64_t* ns) { return static_cast<unsigned long long>(std::max(ns[0], ns[1])); };
  std::printf("{\"line\":%llu,\"wake\":%llu,\"syscall\":%llu,\"memcpy\":%llu}\n",
              static_cast<unsigned long long>(line_ns), static_cast<unsigned long long>(wake_ns),
              slower(shared->syscall_ns), slower(shared->memcpy_ns));
  return 0;
}
