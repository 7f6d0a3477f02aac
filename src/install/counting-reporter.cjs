// mocha's usual output, and at the end the counts in a file for test.js.
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

module.exports = class CountingReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      const file = process.env.FARCOPY_TEST_COUNTS;
      if (file !== undefined) {
        const titles = this.failures.map((test) => test.fullTitle());
        writeFileSync(file, JSON.stringify({ passed: passes, failed: failures, skipped: pending, titles }));
      }
    });
  }
};
