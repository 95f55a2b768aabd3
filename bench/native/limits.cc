// What this machine allows at best, without Node: the limits against which pillion is held.
//
//   limits <what> <payload bytes> <gap us> <warm-up ms> <duration ms>
//
//   ring     round trip of a framed record through shared memory, both processes spinning, each on a CPU of its own
//   stream   the same one way, as fast as the consumer verifies
//   line     round trip of one cache line that holds one word
//   memcpy   copying the payload once
//   syscall  the cheapest system call
//   wake     round trip of one byte between two processes that sleep
//
// Prints one line of JSON. Exits with 1 when a payload arrived damaged.

#include <sys/socket.h>
#include <sys/syscall.h>

#include "common.h"
#include "ring.h"

namespace {

constexpr uint32_t kReplyMark = 0x6c8e9cf5;
// Up to this length an operation is too short to be timed alone.
constexpr uint32_t kLongestBatchedPayload = 16 * 1024;
constexpr uint32_t kBatch = 16;

int Echo(Ring* requests, Ring* replies, uint32_t payload_length) {
  Consumer consumer(requests, payload_length, 0);
  Producer producer(replies, payload_length, kReplyMark);
  while (SpinUntil(requests->finished, [&] { return consumer.HasRecord(); })) {
    if (!consumer.Read()) return 1;
    producer.Write();
  }
  return 0;
}

int MeasureRing(const Options& options) {
  Ring* requests = Ring::Map(options.payload_length);
  Ring* replies = Ring::Map(options.payload_length);
  const pid_t child = Fork([&] {
    PinToCpu(1);
    const int failed = Echo(requests, replies, options.payload_length);
    replies->finished.store(1, std::memory_order_release);
    return failed;
  });
  PinToCpu(0);
  Producer producer(requests, options.payload_length, 0);
  Consumer consumer(replies, options.payload_length, kReplyMark);
  const auto round_trip = [&] {
    producer.Write();
    return SpinUntil(replies->finished, [&] { return consumer.HasRecord(); }) && consumer.Read();
  };
  return Measure(options, round_trip, [&] {
    requests->finished.store(1, std::memory_order_release);
    return EndedWell(child);
  });
}

int MeasureStream(const Options& options) {
  Ring* ring = Ring::Map(options.payload_length);
  const pid_t child = Fork([&] {
    PinToCpu(1);
    Consumer consumer(ring, options.payload_length, 0);
    while (SpinUntil(ring->finished, [&] { return consumer.HasRecord(); })) {
      if (!consumer.Read()) return 1;
    }
    return 0;
  });
  PinToCpu(0);
  Producer producer(ring, options.payload_length, 0);
  const auto write = [&] {
    while (!producer.HasRoom()) {
    }
    producer.Write();
    return true;
  };
  return Measure(options, write, [&] {
    ring->finished.store(1, std::memory_order_release);
    return EndedWell(child);
  });
}

struct Line {
  alignas(128) std::atomic<uint32_t> ping{0};
  alignas(128) std::atomic<uint32_t> pong{0};
  alignas(128) std::atomic<uint32_t> finished{0};
};

int MeasureLine(const Options& options) {
  Line* line = new (MapShared(sizeof(Line))) Line;
  const pid_t child = Fork([&] {
    PinToCpu(1);
    for (uint32_t next = 1;; next++) {
      if (!SpinUntil(line->finished, [&] { return line->ping.load(std::memory_order_acquire) == next; })) return 0;
      line->pong.store(next, std::memory_order_release);
    }
  });
  PinToCpu(0);
  uint32_t sequence = 0;
  const auto round_trip = [&] {
    line->ping.store(++sequence, std::memory_order_release);
    return SpinUntil(line->finished, [&] { return line->pong.load(std::memory_order_acquire) == sequence; });
  };
  return Measure(options, round_trip, [&] {
    line->finished.store(1, std::memory_order_release);
    return EndedWell(child);
  });
}

int MeasureMemcpy(const Options& options) {
  const uint32_t length = options.payload_length;
  std::vector<unsigned char> source(length, 1), target(length, 2);
  unsigned char expected = 1;
  const auto copy = [&] {
    // Another value each time, so that nothing can be left out.
    source[0] = source[length - 1] = ++expected;
    std::memcpy(target.data(), source.data(), length);
    const volatile unsigned char* seen = target.data();
    return seen[0] == expected && seen[length - 1] == expected;
  };
  return Measure(options, copy, [] { return true; });
}

int MeasureSyscall(const Options& options) {
  const pid_t parent = getppid();
  return Measure(
      options, [&] { return syscall(SYS_getppid) == parent; }, [] { return true; });
}

int MeasureWake(const Options& options) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) Fail("socketpair");
  const pid_t child = Fork([&] {
    close(sockets[0]);
    unsigned char byte;
    while (read(sockets[1], &byte, 1) == 1) {
      if (write(sockets[1], &byte, 1) != 1) return 1;
    }
    return 0;
  });
  close(sockets[1]);
  // The rest does not belong to the round trip, so each sample is taken here.
  Samples samples;
  unsigned char sequence = 0;
  const auto round_trip = [&](Samples* into) {
    const timespec rest = {static_cast<time_t>(options.gap_ns / 1'000'000'000),
                           static_cast<long>(options.gap_ns % 1'000'000'000)};
    nanosleep(&rest, nullptr);
    unsigned char answer = 0;
    sequence++;
    const uint64_t begun = NowNs();
    if (write(sockets[0], &sequence, 1) != 1 || read(sockets[0], &answer, 1) != 1) return false;
    into->Add(NowNs() - begun);
    return answer == sequence;
  };
  const uint64_t start = NowNs();
  bool intact = true;
  while (intact && NowNs() < start + options.warmup_ns) intact = round_trip(&samples);
  samples.Clear();
  const uint64_t cpu_before = CpuUs(RUSAGE_SELF);
  const uint64_t begun = NowNs();
  while (intact && NowNs() < begun + options.duration_ns) intact = round_trip(&samples);
  const uint64_t elapsed = NowNs() - begun;
  close(sockets[0]);
  if (!EndedWell(child) || !intact) return 1;
  samples.Print(options, elapsed, CpuUs(RUSAGE_SELF) - cpu_before + CpuUs(RUSAGE_CHILDREN));
  return 0;
}

int Run(const char* what, Options options) {
  const auto is = [&](const char* name) { return std::strcmp(what, name) == 0; };
  if (is("wake")) options.batch = 1;
  if (is("ring")) return MeasureRing(options);
  if (is("stream")) return MeasureStream(options);
  if (is("line")) return MeasureLine(options);
  if (is("memcpy")) return MeasureMemcpy(options);
  if (is("syscall")) return MeasureSyscall(options);
  if (is("wake")) return MeasureWake(options);
  std::fprintf(stderr, "unknown: %s\n", what);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: limits <what> <payload bytes> <gap us> <warm-up ms> <duration ms>\n");
    return 2;
  }
  Options options;
  options.payload_length = static_cast<uint32_t>(std::atoi(argv[2])) & ~7u;
  options.gap_ns = static_cast<uint64_t>(std::atoi(argv[3])) * 1'000;
  options.warmup_ns = static_cast<uint64_t>(std::atoi(argv[4])) * 1'000'000;
  options.duration_ns = static_cast<uint64_t>(std::atoi(argv[5])) * 1'000'000;
  options.batch = options.payload_length <= kLongestBatchedPayload ? kBatch : 1;
  if (options.payload_length == 0 || options.payload_length > 64u * 1024 * 1024) return 2;
  // Neither process may outlive a lost partner.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(static_cast<unsigned>((options.warmup_ns + options.duration_ns) / 1'000'000'000) + 5);
  return Run(argv[1], options);
}
