#!/usr/bin/env node
/*
 * The program's first file. libuv reads UV_THREADPOOL_SIZE when its thread pool is first used, and Node's loader of ES
 * modules uses the pool to read the first of them: only a CommonJS file can still set it. All threads of the process share
 * the pool, and serial ports are read and written in it: when slow syncs fill it, every serial line stands still. Each
 * thread syncs four files at a time (`platform/node-files`), so 16 leave room with the main thread and two NBD sockets at it.
 */
process.env['UV_THREADPOOL_SIZE'] ??= '16';
void import('./main.js');
