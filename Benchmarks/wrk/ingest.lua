-- Single events, one a request, from a fleet of agents: every thread sends prepared requests round and round.
--
--   wrk -t N -c N -d S -s ingest.lua URL -- KEY AGENTS TYPE
--
-- At the end the main thread prints a line RESULT with JSON: what was acknowledged, what was refused, what broke.

local count = 0

function setup(thread)
  thread:set("number", count)
  count = count + 1
end

function init(args)
  local key, agents, kind = args[1], tonumber(args[2]), args[3]
  requests, index = {}, number or 0
  for agent = 1, agents do
    local body = string.format('{"type":"%s","agent":"agent-%d","statusMessage":"at work","n":%d}', kind, agent, agent)
    requests[agent] = string.format(
      "POST /api/events/ingest HTTP/1.1\r\nHost: reeve\r\nAuthorization: Bearer %s\r\n"
        .. "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", key, #body, body)
  end
end

function request()
  index = index % #requests + 1
  return requests[index]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"answered":%d,"refused":%d,"broken":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d}\n', summary.requests,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99)))
end
