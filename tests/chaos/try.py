import asyncio, sys, time, tempfile
from pathlib import Path
from tests.chaos.storm import *
async def main(fault, chance, venues):
    with tempfile.TemporaryDirectory() as f:
        t=time.time()
        storm = Storm(Path(f), {fault: chance} if fault!="none" else {}, 1, venues)
        try:
            async with storm:
                await storm.blow(30)
                await storm.calm(20)
                print("calm", time.time()-t)
        except TimeoutError:
            print("TIMEOUT", storm.ingest.statuses)
        print(fault, storm.struck(fault), [(s.venue,s.connects,s.healed,s.malformed,s.state.value) for s in storm.ingest.statuses])
        for v in storm.venues:
            if v!="massive":
                s=check_proven(storm, v); print(v, len(s.frame), "ok", len(s.gaps), len(s.named))
            else:
                with DuckDBStore(storm.settings.db, read_only=True) as store:
                    s=Stored(store, storm.venues[v].instrument)
                    print("massive", len(s.frame), len(s.late), len(storm.venues[v].truth()), s.frame.trade_id[:3], storm.venues[v].truth().trade_id[:3])
        check_verified(storm)
        print(time.time()-t)
asyncio.run(main(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))
