export default {
  files: ['test/stress/**/*.test.ts'],
  typescript: { rewritePaths: { 'test/': 'dist/test/' }, compile: false },
  workerThreads: false,
  concurrency: 1,
  timeout: '10m',
  nodeArguments: ['--enable-source-maps'],
};
