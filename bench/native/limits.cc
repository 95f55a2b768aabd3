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
constexpr uint32_t kBatch = 16;
constexpr uint32_t kLongestPayload = 64u * 1024 * 1024;

int Echo(Consumer consumer, Producer producer, const Ring& requests) {
  while (SpinUntil(requests.finished, [&] { return consumer.HasRecord(); })) {
    if (!consumer.Read()) return 1;
    producer.Write();
  }
  return 0;
}

int MeasureRing(const Options& options) {
  const Frame request(options.payload_length, 0), reply(options.payload_length, kReplyMark);
  Ring* requests = Ring::Map(request);
  Ring* replies = Ring::Map(reply);
  const pid_t child = Fork(options, [&] {
    PinToCpu(1);
    const int failed = Echo(Consumer(requests, request), Producer(replies, reply), *requests);
    replies->Finish();
    return failed;
  });
  PinToCpu(0);
  Producer producer(requests, request);
  Consumer consumer(replies, reply);
  const auto round_trip = [&] {
    producer.Write();
    return SpinUntil(replies->finished, [&] { return consumer.HasRecord(); }) && consumer.Read();
  };
  return Measure(options, round_trip, [&] {
    requests->Finish();
    return EndedWell(child);
  });
}

int Drain(Consumer consumer, Ring* ring) {
  while (SpinUntil(ring->finished, [&] { return consumer.HasRecord(); })) {
    if (consumer.Read()) continue;
    ring->Finish();
    return 1;
  }
  return 0;
}

int MeasureStream(const Options& options) {
  const Frame frame(options.payload_length, 0);
  Ring* ring = Ring::Map(frame);
  const pid_t child = Fork(options, [&] {
    PinToCpu(1);
    return Drain(Consumer(ring, frame), ring);
  });
  PinToCpu(0);
  Producer producer(ring, frame);
  const auto write = [&] {
    if (!SpinUntil(ring->finished, [&] { return producer.HasRoom(); })) return false;
    producer.Write();
    return true;
  };
  return Measure(options, write, [&] {
    ring->Finish();
    return EndedWell(child) && ring->IsEmpty();
  });
}

struct Line {
  alignas(128) std::atomic<uint64_t> ping{0};
  alignas(128) std::atomic<uint64_t> pong{0};
  alignas(128) std::atomic<uint32_t> finished{0};
};

int MeasureLine(const Options& options) {
  Line* line = new (MapShared(sizeof(Line))) Line;
  const pid_t child = Fork(options, [&] {
    PinToCpu(1);
    for (uint64_t next = 1;; next++) {
      if (!SpinUntil(line->finished, [&] { return line->ping.load(std::memory_order_acquire) == next; })) return 0;
      line->pong.store(next, std::memory_order_release);
    }
  });
  PinToCpu(0);
  uint64_t sequence = 0;
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
  return Measure(options, copy, [&] { return source == target; });
}

int MeasureSyscall(const Options& options) {
  const pid_t parent = getppid();
  return Measure(
      options, [&] { return syscall(SYS_getppid) == parent; }, [] { return true; });
}

int Answer(int socket) {
  unsigned char byte;
  while (read(socket, &byte, 1) == 1) {
    if (write(socket, &byte, 1) != 1) return 1;
  }
  return 0;
}

int MeasureWake(const Options& options) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) Fail("socketpair");
  const pid_t child = Fork(options, [&] {
    close(sockets[0]);
    return Answer(sockets[1]);
  });
  close(sockets[1]);
  const auto rest = [&] {
    const timespec gap = {static_cast<time_t>(options.gap_ns / 1'000'000'000),
                          static_cast<long>(options.gap_ns % 1'000'000'000)};
    if (options.gap_ns > 0) nanosleep(&gap, nullptr);
  };
  unsigned char sequence = 0;
  const auto round_trip = [&] {
    unsigned char answer = 0;
    sequence++;
    return write(sockets[0], &sequence, 1) == 1 && read(sockets[0], &answer, 1) == 1 && answer == sequence;
  };
  const auto finish = [&] {
    close(sockets[0]);
    return EndedWell(child);
  };
  return Measure(options, round_trip, finish, rest);
}

struct Program {
  const char* name;
  int (*measure)(const Options&);
  // Up to this length an operation takes less than some 20 us, too little to be timed alone.
  uint32_t longest_batched_payload;
};

constexpr Program kPrograms[] = {
    {"ring", MeasureRing, 16 * 1024},     {"stream", MeasureStream, 64 * 1024},    {"line", MeasureLine, UINT32_MAX},
    {"memcpy", MeasureMemcpy, 64 * 1024}, {"syscall", MeasureSyscall, UINT32_MAX}, {"wake", MeasureWake, 0},
};

int Misuse(const char* what) {
  std::fprintf(stderr, "%s\nusage: limits <what> <payload bytes> <gap us> <warm-up ms> <duration ms>\n", what);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return Misuse("five arguments are needed");
  const auto number = [&](int index) { return std::strtoull(argv[index], nullptr, 10); };
  const uint64_t payload_length = number(2);
  if (payload_length == 0 || payload_length > kLongestPayload) return Misuse("payload bytes must be from 1 to 64 MiB");
  Options options{static_cast<uint32_t>(payload_length), number(3) * 1'000, number(4) * 1'000'000,
                  number(5) * 1'000'000, 1};
  for (const Program& program : kPrograms) {
    if (std::strcmp(argv[1], program.name) != 0) continue;
    if (options.payload_length <= program.longest_batched_payload) options.batch = kBatch;
    LimitLife(options);
    return program.measure(options);
  }
  return Misuse("unknown program");
}
