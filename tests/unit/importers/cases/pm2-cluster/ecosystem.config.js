const shared = { max_memory_restart: '300M', merge_logs: true };

module.exports = {
  apps: [
    {
      name: 'api',
      script: './dist/server.js',
      args: '--port 3000 --title "two words"',
      node_args: ['--max-old-space-size=256'],
      instances: 'max',
      exec_mode: 'cluster',
      ...shared,
      env: { NODE_ENV: 'development', PORT: 3000, FLAGS: { fast: true } },
      env_production: { NODE_ENV: 'production' },
      wait_ready: true,
      listen_timeout: 10000,
      kill_timeout: 5000,
      exp_backoff_restart_delay: 100,
      max_restarts: 10,
      min_uptime: '5s',
    },
    {
      name: 'jobs',
      script: 'npm run jobs',
      cron_restart: '0 3 * * *',
      autorestart: false,
      watch: ['src', 'lib'],
      ignore_watch: ['node_modules', '*.log'],
      watch_delay: 1000,
      out_file: '/dev/null',
      error_file: './jobs.err',
      log_date_format: 'YYYY-MM-DD',
    },
  ],
  deploy: { production: { user: 'deploy', host: ['a.example.org'], ref: 'origin/main' } },
};
