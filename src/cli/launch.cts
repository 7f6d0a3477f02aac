#!/usr/bin/env node
/*
 * The program's first file. libuv reads UV_THREADPOOL_SIZE when its thread pool is first used, and Node's loader of ES
 * modules uses the pool to read the first of them: only a CommonJS file can still set it. Syncs, draining serial lines
 * (which last as long as the line is slow) and reads of ports share the pool; brotli has threads of its own.
 */
process.env['UV_THREADPOOL_SIZE'] ??= '4';
void import('./main.js');
