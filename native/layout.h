// The segment, byte by byte. docs/protocol.md section 2 is normative; src/ring/layout.ts is its twin, and a test
// compares the two.
//
//   file offset 0           headerBytes                 + capacity 0                + capacity 1
//   | page 0: words below    | ring 0: client -> server  | ring 1: server -> client  | arena, if there is one |
//
// In memory each ring is mapped twice in a row, so that a record is contiguous wherever it starts:
//
//   | page 0 | ring 0 | ring 0 again | ring 1 | ring 1 again |
//
// The arena holds what LOAN records point at. It is mapped once and apart, because claims in it may outlive the rings.
#ifndef PILLION_LAYOUT_H_
#define PILLION_LAYOUT_H_

#include <atomic>
#include <cstdint>

namespace pillion {

constexpr uint32_t kSegmentMagic = 0x314E4C50;  // "PLN1" in memory order
constexpr uint32_t kLayoutVersion = 1;

constexpr uint32_t kMinHeaderBytes = 4096;
constexpr uint32_t kMinRingBytes = 4096;
constexpr uint32_t kMaxRingBytes = 1u << 30;
constexpr uint32_t kMaxArenaBytes = 1u << 30;

// Offsets of the descriptive words in page 0. Written by the client before HELLO, read once by the server.
constexpr uint32_t kMagicOffset = 0x000;
constexpr uint32_t kVersionOffset = 0x004;
constexpr uint32_t kSegmentBytesOffset = 0x008;
constexpr uint32_t kHeaderBytesOffset = 0x00C;
constexpr uint32_t kRingTableOffset = 0x010;  // per ring: data offset, capacity
constexpr uint32_t kArenaOffset = 0x020;      // offset, bytes; both 0 without an arena

// Control words: one per 128 bytes, because the adjacent-line prefetcher of x86 pulls cache lines in pairs.
constexpr uint32_t kControlOffset = 0x400;
constexpr uint32_t kControlBytesPerRing = 0x200;
constexpr uint32_t kTailOffset = 0x000;     // written by the producer
constexpr uint32_t kHeadOffset = 0x080;     // written by the consumer
constexpr uint32_t kParkedOffset = 0x100;   // set by the consumer, swapped to 0 by either
constexpr uint32_t kStarvedOffset = 0x180;  // set by the producer, swapped to 0 by either
// Beside `parked`, so in the same cache line: the CPU on which the consumer was last seen, plus 1; 0 = unknown. A hint.
constexpr uint32_t kCpuOffset = 0x104;

enum Parked : uint32_t { kAwake = 0, kAsleep = 1, kDozing = 2 };

constexpr uint32_t ControlWord(int ring, uint32_t word) {
  return kControlOffset + static_cast<uint32_t>(ring) * kControlBytesPerRing + word;
}

// Both languages work on the same words, so they must be plain lock-free 32-bit words.
using SharedWord = std::atomic<uint32_t>;
static_assert(sizeof(SharedWord) == 4 && alignof(SharedWord) == 4, "a shared word is 4 bytes");
static_assert(SharedWord::is_always_lock_free, "a lock inside shared memory would die with its owner");
static_assert(ControlWord(1, kStarvedOffset) + 4 <= kMinHeaderBytes, "control words fit page 0");

}  // namespace pillion

#endif  // PILLION_LAYOUT_H_
