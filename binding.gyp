{
  "targets": [
    {
      "target_name": "pillion",
      "sources": [
        "native/addon.cc",
        "native/block_pool.cc",
        "native/shared_memory.cc",
        "native/segment.cc",
        "native/counter_memory.cc",
        "native/unix_socket.cc",
        "native/loop_hub.cc",
        "native/loop_watch.cc"
      ],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include\")"],
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_GNU_SOURCE"],
      "cflags_cc": ["-std=c++17", "-O3", "-Wall", "-Wextra", "-fno-exceptions", "-fvisibility=hidden"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-fno-rtti"],
      "conditions": [
        ["OS!='linux'", { "type": "none", "sources": [] }]
      ]
    }
  ]
}
