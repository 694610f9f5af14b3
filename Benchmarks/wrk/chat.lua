-- One chat completion a request, always the same.
--
--   wrk -t N -c N -d S -s chat.lua URL -- KEY BODY
--
-- At the end the main thread prints a line RESULT with JSON: what was answered, what was refused, what broke.

function init(args)
  wrk.method = "POST"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = args[2]
  prepared = wrk.format()
end

function request()
  return prepared
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"answered":%d,"bytes":%d,"refused":%d,"broken":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.bytes, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50), latency:percentile(99)))
end
